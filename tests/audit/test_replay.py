"""The audit of a real server's logs: what was written by hand, deleted or trimmed there, and while it reads."""

import asyncio

import pytest

from ambient.audit import Violation, audit
from bus.connection import Bus
from bus.errors import StreamMissing
from bus.reader import Entry
from bus.signing import VERDICTS
from bus.streams import extent
from bus.subjects import LOGS
from bus.wire import encode
from tests.audit.book import Book, identity
from tests.audit.test_honest import everything

_WAIT_S = 60


async def publish(bus: Bus, book: Book) -> None:
    """Write the book to the logs of this cluster."""
    for log in LOGS:
        for entry in book.entries[log]:
            await _publish(bus, entry)


async def _publish(bus: Bus, entry: Entry) -> None:
    subject = entry.subject.replace("avcp.test.", f"{bus.subjects.root}.", 1)
    await bus.js.publish(subject, entry.body)


async def test_a_cluster_at_rest_is_read_whole(bus: Bus) -> None:
    """The report on the logs of a server is that on the same entries by hand, but for the times of the server."""
    book = everything()
    await publish(bus, book)
    report = await asyncio.wait_for(audit(bus), _WAIT_S)
    by_hand = book.audit()

    assert report.violations == ()
    assert (report.promises, report.logs, report.signers) == (by_hand.promises, by_hand.logs, by_hand.signers)


async def test_a_cluster_without_tasks_holds(bus: Bus) -> None:
    """Empty logs break no promise."""
    report = await asyncio.wait_for(audit(bus), _WAIT_S)

    assert report.holds
    assert [(log.first, log.last) for log in report.logs] == [(1, 0)] * 4


async def test_no_cluster_is_said(bus: Bus) -> None:
    """Where nobody has set a cluster up, there is nothing to hold."""
    async with await Bus.connect(bus.url, cluster="nowhere") as elsewhere:
        with pytest.raises(StreamMissing, match="ambient up"):
            await audit(elsewhere)


@pytest.mark.parametrize("key", ["verifier", "somebody"])
async def test_a_second_verdict_written_by_hand_is_found(bus: Bus, key: str) -> None:
    """On an open server anybody may write to VERDICTS: the audit says which line is one too many, and which keys signed."""
    book = Book()
    story = book.task("t1").done()
    await publish(bus, book)
    body = identity(key).seal(VERDICTS, [encode(story.verdict)])
    written = await bus.js.publish(bus.subjects.verdicts, body)
    report = await asyncio.wait_for(audit(bus), _WAIT_S)

    assert report.broken() == ("one-verdict",)
    assert [(v.task, v.log, v.sequence, v.line) for v in report.violations] == [
        ("me.t1", "verdicts", written.seq, 0)
    ]
    assert {s.key for s in report.signers} == {identity("verifier").key, identity(key).key}


@pytest.mark.parametrize("sequence", [2, 5])
async def test_a_deleted_message_is_missed(bus: Bus, sequence: int) -> None:
    """Who deletes a message of a log hides nothing by it: the hole shows, also at the end."""
    book = Book()
    for number in range(5):
        book.task(f"t{number}").done()
    await publish(bus, book)
    await bus.js.delete_msg(bus.subjects.stream("verdicts"), sequence)
    report = await asyncio.wait_for(audit(bus), _WAIT_S)

    assert report.broken() == ("whole",)
    assert [(v.log, v.sequence) for v in report.violations] == [("verdicts", sequence)]
    assert [task.task for task in report.open] == [f"me.t{sequence - 1}"]


async def test_trimmed_logs_are_audited_from_where_they_begin(bus: Bus) -> None:
    """What was purged is neither missing nor a hole, and the report says from which sequence on it speaks."""
    book = everything()
    await publish(bus, book)
    for log, first in (("tasks", 4), ("results", 3)):
        await bus.js.purge_stream(bus.subjects.stream(log), seq=first)
    report = await asyncio.wait_for(audit(bus), _WAIT_S)

    assert report.violations == ()
    assert {log.log: log.first for log in report.logs} == {
        "tasks": 4,
        "assignments": 1,
        "results": 3,
        "verdicts": 1,
    }


async def test_a_log_that_is_trimmed_while_it_is_read_does_not_stop_the_audit(bus: Bus) -> None:
    """All that an audit still wanted to read is purged at some moment of its reading: it ends, and raises no alarm."""
    await publish(bus, everything())
    for log in reversed(LOGS):
        reading = asyncio.create_task(audit(bus))
        await extent(bus, log)
        await bus.js.purge_stream(bus.subjects.stream(log))
        report = await asyncio.wait_for(reading, _WAIT_S)

        assert report.violations == ()


async def test_a_cluster_at_work_gives_no_false_alarm(bus: Bus) -> None:
    """While tasks are submitted, decided, claimed and accepted as fast as it goes, every audit in between holds."""
    book = Book()
    for number in range(120):
        story = book.quorum(f"t{number}").heard().accepted("n1", "n2")
        story.late("n3", agrees=False)
    moments = sorted((entry.at_ms, entry) for log in LOGS for entry in book.entries[log])

    async def work() -> None:
        for _, entry in moments:
            await _publish(bus, entry)

    working = asyncio.create_task(work())
    broken: list[Violation] = []
    audits = 0
    while not working.done():
        broken += (await asyncio.wait_for(audit(bus), _WAIT_S)).violations
        audits += 1
    await working
    report = await asyncio.wait_for(audit(bus), _WAIT_S)

    assert audits
    assert broken == []
    assert report.verdicts == {"verified": 120}
    assert (report.holds, report.open) == (True, ())
