"""`check` tells a module's nature, cost and determinism."""

from sandbox.report import check

ECHO = b"""(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start") (drop (call $random (i32.const 0) (i32.const 8)))))"""


async def test_a_good_module():
    """Imports, compile time, two equal runs and their cost are reported."""
    report = await check(ECHO)

    assert report.fit
    assert dict(report.lines())["imports"] == "wasi_snapshot_preview1.random_get"
    assert "same" in dict(report.lines())["determinism"]
    assert [i.name for i in report.module.imports] == ["random_get"]
    assert report.compile_ms > 0
    assert report.compiled_bytes > 0
    assert report.runs[0].fuel > 1000
    assert report.runs[0].peak_memory_bytes == 2 * 65536


async def test_the_only_function_is_the_entry():
    """A module with one exported function needs no entry named; a failure that is the same twice is deterministic."""
    report = await check(b'(module (func (export "boom") unreachable))')

    assert (report.entry, report.deterministic) == ("boom", True)
    assert [run.reason for run in report.runs] == ["trap", "trap"]


async def test_what_cannot_run_is_said_not_raised():
    """A foreign import, bytes that are no module, and code that does not validate are problems in words."""
    foreign = await check(b'(module (import "env" "x" (func)) (func (export "f")))')
    garbage = await check(b"\0rubbish")
    invalid = await check(b'(module (func (export "f") (result i32) i64.const 1))')

    assert "env.x" in foreign.problem
    assert foreign.module is not None
    assert garbage.module is None
    assert "magic" in garbage.problem
    assert "engine refuses" in invalid.problem
    assert not invalid.fit
    assert "env.x" in dict(foreign.lines())["problem"]
