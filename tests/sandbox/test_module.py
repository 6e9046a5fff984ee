"""Admission: what a module is, told from its bytes, and every import it may not have."""

import contextlib
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox import MalformedModule, ModuleReport, UnfitModule, admit, inspect, to_wasm
from sandbox.abi import HOST_FUNCTIONS
from sandbox.expose import EXPOSED_MEMORY, expose_memory
from sandbox.reader import MAGIC, FuncType, Limits

ADD = to_wasm(b'(module (func (export "add") (param i32 i64) (result f32 f64) unreachable))')
RICH = to_wasm(b"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2 9) (table 3 funcref) (global (export "g") i32 (i32.const 1))
  (func $f (param i32) (result i32) local.get 0) (func (export "_start"))
  (export "f" (func $f)) (export "w" (func $w)) (elem (i32.const 0) $f) (data (i32.const 8) "abc"))""")


def test_a_report_says_what_the_bytes_say():
    """Imports, exports with signatures, memory and tables are read as written."""
    report = inspect(RICH)

    assert report.kind == "command"
    assert [(i.module, i.name, i.kind) for i in report.imports] == [
        ("wasi_snapshot_preview1", "fd_write", "function")
    ]
    assert report.functions == {
        "_start": FuncType(),
        "f": FuncType(params=("i32",), results=("i32",)),
        "w": FuncType(params=("i32",) * 4, results=("i32",)),
    }
    assert (report.memory, report.memory_exported) == (Limits(minimum=2, maximum=9), True)
    assert report.tables == [Limits(minimum=3)]
    assert report.exports["g"] == "global"
    assert report.size == len(RICH)


def test_features_are_told_from_sections():
    """Several results, shared memory and 64-bit memory are seen without reading code."""
    assert "multivalue" in inspect(ADD).features
    assert "threads" in inspect(to_wasm(b"(module (memory 1 1 shared))")).features
    assert "memory64" in inspect(to_wasm(b"(module (memory i64 1))")).features


def test_fit_modules_are_admitted():
    """A command and a function with numbers pass."""
    admit(inspect(RICH), "_start", ["any", 1, 2.5])
    admit(inspect(ADD), "add", [1, 2])


FORBIDDEN = {
    "a file of preview 0": ("wasi_unstable", "fd_write", "(func (param i32 i32 i32 i32) (result i32))"),
    "sock_accept": ("wasi_snapshot_preview1", "sock_accept", "(func (param i32 i32 i32) (result i32))"),
    "sock_recv": (
        "wasi_snapshot_preview1",
        "sock_recv",
        "(func (param i32 i32 i32 i32 i32 i32) (result i32))",
    ),
    "sock_send": ("wasi_snapshot_preview1", "sock_send", "(func (param i32 i32 i32 i32 i32) (result i32))"),
    "sock_shutdown": ("wasi_snapshot_preview1", "sock_shutdown", "(func (param i32 i32) (result i32))"),
    "proc_raise": ("wasi_snapshot_preview1", "proc_raise", "(func (param i32) (result i32))"),
    "threads": ("wasi", "thread-spawn", "(func (param i32) (result i32))"),
    "env": ("env", "emscripten_memcpy", "(func (param i32 i32 i32))"),
    "signing": ("ambient_crypto", "ed25519_sign", "(func (param i32 i32 i32) (result i32))"),
    "a memory": ("env", "memory", "(memory 1)"),
    "a table": ("env", "table", "(table 1 funcref)"),
    "a global": ("env", "g", "(global i32)"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_forbidden_import_is_refused_by_name(what):
    """The refusal names module and function."""
    module, name, kind = FORBIDDEN[what]
    wasm = to_wasm(f'(module (import "{module}" "{name}" {kind}) (func (export "f")))'.encode())

    with pytest.raises(UnfitModule, match=f"{module}.{name}") as error:
        admit(inspect(wasm), "f", [])
    assert error.value.field == "module"


def test_an_import_of_another_type_is_refused():
    """A known name with a wrong signature says what it should be."""
    wasm = to_wasm(b"""(module (import "ambient_crypto" "sha256" (func (param i32) (result i64)))
      (memory (export "memory") 1) (func (export "f")))""")

    with pytest.raises(UnfitModule, match=r"sha256 as \(i32\) -> \(i64\), but it is"):
        admit(inspect(wasm), "f", [])


@pytest.mark.parametrize("name", sorted(HOST_FUNCTIONS))
def test_every_host_function_is_admitted(name):
    """What the contract offers can be imported with the type it states."""
    params, results = HOST_FUNCTIONS[name]
    kind = f"(func (param {' '.join(params)}) (result {' '.join(results)}))"
    text = f'(module (import "{name[0]}" "{name[1]}" {kind}) (memory (export "memory") 1) (func (export "_start")))'

    admit(inspect(to_wasm(text.encode())), "_start", [])


@pytest.mark.parametrize(
    ("text", "entry", "args", "field"),
    [
        ("(module)", "f", [], "entry"),
        ('(module (memory (export "f") 1))', "f", [], "entry"),
        ('(module (func (export "f") (param funcref)))', "f", [1], "entry"),
        ('(module (func (export "f") (result v128) unreachable))', "f", [], "entry"),
        ('(module (func (export "_start") (param i32)))', "_start", [], "entry"),
        ('(module (func (export "f") (param i32)))', "f", [], "args"),
        ('(module (func (export "f") (param i32)))', "f", ["x"], "args"),
        ('(module (func (export "_start")))', "_start", ["a\0b"], "args"),
        ('(module (func (export "_start")))', "_start", ["a" * 200_000], "args"),
        ('(module (func (export "_start")))', "_start", ["\ud800"], "args"),
        ('(module (memory 1 1 shared) (func (export "f")))', "f", [], "module"),
        ('(module (memory i64 1) (func (export "f")))', "f", [], "module"),
        ('(module (memory 1) (memory 1) (func (export "f")))', "f", [], "module"),
        ('(module (table 100001 funcref) (func (export "f")))', "f", [], "module"),
        ('(module (tag) (func (export "f")))', "f", [], "module"),
    ],
)
def test_what_is_unfit_is_refused_by_field(text, entry, args, field):
    """Each refusal names the field of the task that has to change."""
    with pytest.raises(UnfitModule) as error:
        admit(inspect(to_wasm(text.encode())), entry, args)
    assert error.value.field == field


def test_too_much_input_is_refused():
    """Standard input has a limit."""
    with pytest.raises(UnfitModule, match="input"):
        admit(inspect(RICH), "_start", [], input_size=1 << 40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0asm",
        b"MZ",
        b"\0asm\x0d\0\x01\0",
        MAGIC + b"\x01\xff\xff\xff\xff\x0f",
        MAGIC + b"\x03\x05\xff\xff\xff\xff\x0f",
        MAGIC + b"\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
        MAGIC + b"\x07\x05\x01\x01\xff\x00\x00",
        MAGIC + b"\x07\x05\x01\x01f\x00\x63",
    ],
)
def test_malformed_modules_are_refused(data):
    """Cut, foreign or lying bytes give a clean error."""
    with pytest.raises(MalformedModule):
        inspect(data)


def outcome_of(data: bytes) -> ModuleReport | None:
    """A report, or None for a clean refusal; anything else escapes."""
    try:
        return inspect(data)
    except UnfitModule:
        return None


@settings(max_examples=300)
@given(st.binary(max_size=300))
@example(b"\x01\x04\x01\x60\x00\x00")
def test_arbitrary_sections_never_break_the_reader(tail):
    """Any bytes after the header give a report or a clean refusal."""
    outcome_of(MAGIC + tail)


@settings(max_examples=500)
@given(st.sampled_from([ADD, RICH]), st.data())
def test_damaged_modules_never_break_the_reader(wasm, data):
    """A real module with bytes changed, removed or added gives a report or a clean refusal, and so does admission."""
    at = data.draw(st.integers(0, len(wasm)))
    drop = data.draw(st.integers(0, 8))
    damaged = wasm[:at] + data.draw(st.binary(max_size=8)) + wasm[at + drop :]
    report = outcome_of(damaged)
    if report is not None:
        with contextlib.suppress(UnfitModule):
            admit(report, "f", [1])


def test_a_bomb_of_counts_is_bounded():
    """Counts that promise more than the bytes hold, or more than is accepted, end the reading at once."""
    begun = time.process_time()
    for section in (1, 2, 3, 4, 5, 7, 10):
        body = b"\xff\xff\xff\xff\x0f" + bytes(1_000_000)
        assert outcome_of(MAGIC + bytes([section]) + b"\xc5\x84\x3d" + body) is None
    assert time.process_time() - begun < 1


def test_text_is_accepted_and_its_errors_are_ours():
    """WebAssembly text becomes the binary; text with an error names line and column."""
    assert to_wasm(b"(module)") == MAGIC
    assert to_wasm(ADD) == ADD
    with pytest.raises(MalformedModule, match=r"1:\d+"):
        to_wasm(b"(modul)")
    with pytest.raises(MalformedModule):
        to_wasm(b"\xff\xfe not text")


def test_an_exposed_memory_changes_nothing_else():
    """A hidden memory gets a name; a module that exports its own is untouched."""
    hidden = to_wasm(b'(module (memory 3) (func (export "f")))')
    exposed = inspect(expose_memory(hidden, inspect(hidden)))

    assert exposed.exports == {"f": "function", EXPOSED_MEMORY.decode(): "memory"}
    assert exposed.memory == Limits(minimum=3)
    assert expose_memory(RICH, inspect(RICH)) is RICH
