"""What a process tells of NATS servers and of the logs on them: with a real server, a dead one, and one that is none."""

import asyncio
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bus.connection import Bus
from bus.server import NatsServer, free_port
from metrics.board import Board, Source
from metrics.logs import logs
from metrics.servers import servers

type Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def figures(*sources: Source) -> Figures:
    """What the sources say, by metric and labels."""
    page, _ = await Board(sources).page()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name != "ambient_page_failed_sources"
    }


async def test_a_server_is_told_up_and_down_under_one_name(tmp_path: Path) -> None:
    """While it runs, its own figures; once it is killed 0 under the same name, so that it is one series, and nothing stale."""
    async with NatsServer(tmp_path, name="a") as running:
        source = servers([running.monitor_url])
        async with await Bus.connect(running.url):
            up = await figures(source)
        running.kill()
        async with asyncio.timeout(60):
            while (down := await figures(source))["ambient_nats_up", (("server", "a"),)]:
                await asyncio.sleep(0.02)

    assert up["ambient_nats_up", (("server", "a"),)] == 1
    assert up["ambient_nats_connections", (("server", "a"),)] >= 1
    assert up["ambient_nats_jetstream_max_bytes", (("server", "a"),)] > 0
    assert list(down) == [("ambient_nats_up", (("server", "a"),))]


async def test_a_monitor_that_floods_or_hangs_costs_a_second() -> None:
    """What sends more than a megabyte, nothing, or no JSON is told as down, by the address that was given."""
    answers = [
        b"HTTP/1.0 200 OK\r\n\r\n" + bytes(4 << 20),
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b"HTTP/1.0 503 No\r\n\r\n{}",
    ]
    done = asyncio.Event()

    async def lie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answers:
            writer.write(answers.pop())
        else:
            await done.wait()
        writer.close()

    port, nobody = free_port(), free_port()
    async with await asyncio.start_server(lie, "127.0.0.1", port):
        source = servers([f"http://127.0.0.1:{port}", f"http://127.0.0.1:{nobody}"])
        found = [await figures(source) for _ in range(4)]
        done.set()

    assert all(
        each
        == {
            ("ambient_nats_up", (("server", f"127.0.0.1:{port}"),)): 0,
            ("ambient_nats_up", (("server", f"127.0.0.1:{nobody}"),)): 0,
        }
        for each in found
    )


async def test_logs_are_told_against_their_limits(bus: Bus) -> None:
    """Each log with its size and where it refuses; what is written shows."""
    before = await figures(logs(bus))
    await bus.js.publish(bus.subjects.submit("me"), bytes(5000))
    after = await figures(logs(bus))

    tasks = (("log", "tasks"),)
    assert before["ambient_log_bytes", tasks] == 0
    assert after["ambient_log_bytes", tasks] > 5000
    assert after["ambient_log_last_sequence", tasks] == 1
    assert after["ambient_log_max_bytes", tasks] == 64 * 1024**2
    assert len([name for name, _ in after if name == "ambient_log_bytes"]) == 7
