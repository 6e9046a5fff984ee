"""The page of metrics: what a Prometheus gets, and what a stranger gets."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from bus.server import free_port
from bus.trace import trace_id
from metrics.board import Board
from metrics.errors import AddressTaken, NotInCatalogue
from metrics.histogram import Histogram
from metrics.metric import STAGE_S
from metrics.page import exposed, serve_page


async def lead(board: Board) -> None:
    """A source."""
    board.say("ambient_leading", 1, service="verifier")
    board.say("ambient_leader_changes_total", 3, service="verifier")


async def ask(port: int, request: bytes) -> bytes:
    """What comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_page_is_what_prometheus_reads() -> None:
    """Text by default, OpenMetrics for whoever asks; both with the catalogue's words."""
    async with serve_page(Board([lead]), 0) as port:
        plain = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        modern = await ask(
            port, b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
        )
    head, _, body = plain.decode().partition("\r\n\r\n")
    found = {
        (sample.name, sample.labels.get("service", ""), sample.value)
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }

    assert head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain")
    assert found == {
        ("ambient_leading", "verifier", 1.0),
        ("ambient_leader_changes_total", "verifier", 3.0),
        ("ambient_page_failed_sources", "", 0.0),
    }
    assert "# HELP ambient_leading 1 where this process leads" in body
    assert b"application/openmetrics-text" in modern
    assert modern.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", b"404"),
        (b"GET /metrics?x=1 HTTP/1.1", b"200"),
        (b"HEAD /metrics HTTP/1.1", b"200"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"\xff\x00", b"405"),
    ],
)
async def test_a_stranger_gets_an_answer_too(request_line: bytes, status: bytes) -> None:
    """Whatever is asked for is answered or refused, and the page stays up."""
    async with serve_page(Board([lead]), 0) as port:
        first = await ask(port, request_line + b"\r\n\r\n")
        second = await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")

    assert first.split()[1] == status
    assert second.split()[1] == b"200"


async def test_a_request_without_end_is_dropped() -> None:
    """Headers beyond 16 KiB close the connection; memory holds no more of them."""
    async with serve_page(Board([lead]), 0) as port:
        said = await ask(port, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)

    assert said == b""


@given(st.dictionaries(st.sampled_from(("service", "log", "task")), st.text(max_size=3)))
def test_only_what_is_in_the_catalogue_gets_on_the_board(labels: dict[str, str]) -> None:
    """A metric nobody described, or a label that it does not have, is refused where it is said."""
    board = Board([])
    with pytest.raises(NotInCatalogue):
        board.say("ambient_undescribed", 1)
    if set(labels) != {"service"}:
        with pytest.raises(NotInCatalogue):
            board.say("ambient_leading", 1, **labels)


async def test_a_page_holds_nothing_of_an_earlier_one() -> None:
    """What a source no longer says is gone, as it is no longer so."""
    said = [True, False]

    async def once(board: Board) -> None:
        if said.pop(0):
            board.say("ambient_leading", 1, service="verifier")

    board = Board([once])
    first, _ = await board.page()
    second, _ = await board.page()

    assert b"ambient_leading" in first
    assert b"ambient_leading" not in second


async def test_a_port_that_is_taken_is_named() -> None:
    """And port 0 of the option serves nothing at all."""
    port = free_port()
    async with exposed(0), serve_page(Board([]), port):
        with pytest.raises(AddressTaken, match=f"127.0.0.1:{port}: choose another port"):
            async with exposed(port):
                pass


async def test_a_histogram_is_told_with_examples_for_whoever_understands_them() -> None:
    """Buckets, sum and count in both formats; OpenMetrics also names a task with its trace, as far as the format has room for a long name."""
    histogram = Histogram(STAGE_S)
    histogram.observe_of(0.04, "me.quick")
    histogram.observe_of(3.0, "me." + "x" * 82)
    histogram.observe_of(7.0, "me." + "x" * 122)

    async def say(board: Board) -> None:
        board.say("ambient_task_seconds", histogram, status="verified")

    board = Board([say], "lab")
    plain, _ = await board.page()
    modern, _ = await board.page("application/openmetrics-text; version=1.0.0")
    family, _ = openmetrics_parser.text_string_to_metric_families(modern.decode())
    buckets = {sample.labels["le"]: sample for sample in family.samples if sample.name.endswith("_bucket")}

    assert buckets["0.05"].exemplar.labels == {"task": "me.quick", "trace_id": trace_id("lab", "me.quick")}
    assert buckets["5.0"].exemplar.labels == {"task": "me." + "x" * 82}
    assert [le for le, sample in buckets.items() if sample.exemplar] == ["0.05", "5.0"]
    assert buckets["+Inf"].value == 3
    assert b'ambient_task_seconds_bucket{le="0.05",status="verified"} 1.0' in plain
    assert b'ambient_task_seconds_sum{status="verified"} 10.04' in plain


def test_a_histogram_has_the_bounds_of_the_catalogue() -> None:
    """Others would be another metric under the same name; nor is a number a histogram."""
    board = Board([])
    for wrong in (Histogram((1.0, 2.0)), 3.0):
        with pytest.raises(NotInCatalogue):
            board.say("ambient_task_seconds", wrong, status="verified")


async def test_what_one_source_fails_to_say_takes_nothing_from_the_others() -> None:
    """The page says that it is incomplete, and the log why; sources are asked together, so that none waits for another."""
    met = asyncio.Barrier(2)

    async def break_down(_: Board) -> None:
        await met.wait()
        raise RuntimeError("no such log")

    async def say(board: Board) -> None:
        await met.wait()
        await lead(board)

    with capture_logs() as logged:
        page, _ = await asyncio.wait_for(Board([break_down, say]).page(), 60)

    assert b"ambient_page_failed_sources 1.0" in page
    assert b"ambient_leader_changes_total" in page
    assert [entry["event"] for entry in logged] == ["a source of metrics failed"]
