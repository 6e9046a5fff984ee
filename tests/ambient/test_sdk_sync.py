"""The synchronous face: the same promises without an event loop."""

import asyncio
import signal
import sys
import threading
from subprocess import PIPE

import pytest

import ambient

WASM = b"\0asm\1\0\0\0"


@pytest.fixture
def connected(server, cluster, scripted):  # noqa: ARG001 -- the cluster must answer
    """A synchronous client, to be used from another thread than that of the test's loop."""
    return lambda: ambient.connect_sync(server.url, cluster=cluster, client="me")


async def in_thread(work):
    """Run blocking code as a script would, while this loop serves the scripted cluster."""
    return await asyncio.wait_for(asyncio.to_thread(work), 60)


async def test_a_script_runs_a_module_without_async(connected) -> None:
    """`with connect_sync() as vcp: vcp.run(...)` is all it takes."""

    def script():
        with connected() as vcp:
            return vcp.run(WASM, input=b"hi", verify="quorum:2/3", timeout_s=10)

    assert (await in_thread(script)).output == b"hi"


async def test_map_is_an_iterator(connected) -> None:
    """Results come pair by pair, in order if asked, many to a hop between the threads."""

    def script():
        with connected() as vcp:
            return [(i, v.output) for i, v in vcp.map(WASM, (b"%d" % n for n in range(500)), ordered=True)]

    assert await in_thread(script) == [(n, b"%d" % n) for n in range(500)]


async def test_leaving_a_map_early_cancels_the_rest(connected, scripted) -> None:
    """`break` withdraws what is in flight."""
    answer = scripted.script
    scripted.script = lambda spec, name: answer(spec, name) if spec.work.input == b"0" else None

    def script() -> None:
        with connected() as vcp:
            results = vcp.map(WASM, [b"0", b"1", b"2"])
            assert next(results)[0] == 0
            results.close()

    await in_thread(script)
    await scripted.until(lambda: len(scripted.cancelled) == 2)


async def test_handles_questions_and_errors_are_as_in_async_code(connected, scripted) -> None:
    """A handle's result, `cancel`, `why`, `nodes`, `tasks`, `health`; errors are the same classes."""
    scripted.holds = True

    def script() -> None:
        with connected() as vcp:
            task = vcp.submit(WASM, input=b"x", id="s1")
            assert task.why().task == vcp.why("s1").task == "me.s1"
            assert (vcp.nodes(), vcp.health().ok) == ([], True)
            with pytest.raises(ambient.StillOpen):
                task.result(timeout_s=0.1)
            vcp.cancel(task)
            with pytest.raises(ambient.TaskCancelled):
                vcp.result("s1", timeout_s=10)
            assert task.result(check=False, timeout_s=10).status == "cancelled"
            assert vcp.tasks() == []

    await in_thread(script)


async def test_closing_leaves_no_thread(connected) -> None:
    """The loop's thread ends with the client; a closed client says what to do."""

    def script() -> None:
        before = threading.active_count()
        vcp = connected()
        with vcp:
            assert threading.active_count() > before
        assert threading.active_count() == before
        with pytest.raises(ambient.ClientClosed, match=r"with ambient\.connect_sync"):
            vcp.run(WASM)

    await in_thread(script)


INTERRUPTED = """
import ambient, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever is started in the background of a shell ignores it
with ambient.connect_sync(sys.argv[1], cluster=sys.argv[2], client="me") as vcp:
    try:
        for _ in vcp.map(b"\\0asm\\1\\0\\0\\0", [b"1", b"2"]):
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


async def test_an_interrupt_ends_a_map_and_cancels_its_tasks(server, cluster, scripted) -> None:
    """Ctrl-C in a notebook or script comes through at once, and the client is still good to be closed."""
    scripted.holds = True
    command = [sys.executable, "-c", INTERRUPTED, server.url, cluster]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    await scripted.until(lambda: len(scripted.open) == 2)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    await scripted.until(lambda: len(scripted.cancelled) == 2)

    assert (process.returncode, out, err) == (0, b"interrupted\n", b"")


def test_no_server_is_said_at_once() -> None:
    """Without a server the error says how to start one, and no thread stays."""
    before = threading.active_count()
    with pytest.raises(ambient.BusUnavailable, match="ambient up"):
        ambient.connect_sync("nats://127.0.0.1:1", timeout_s=0.3).open()

    assert threading.active_count() == before
