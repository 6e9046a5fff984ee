"""No false alarm: what honest services write holds, wherever it is cut, however the logs are interleaved, whatever strangers write between."""

import contextlib
import datetime as dt
import random
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ambient.audit import Audit, OpenTask, Report
from bus.messages import Leader, Refused
from bus.reader import Entry
from bus.subjects import LOGS
from bus.wire import encode
from tests.audit.book import HOUR_MS, NODES, Book
from tests.simulation.campaign import be_quiet
from tests.simulation.drawing import draw
from tests.simulation.identity import cheap_signatures
from tests.simulation.mutations import MUTATIONS
from tests.simulation.watch import Violation
from tests.simulation.world import Parts, World

_DEADLINE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def everything() -> Book:
    """A book in which everything happens that may."""
    book = Book()
    book.task("plain").done()
    book.quorum("outvoted").heard().accepted("n1", "n2", dissent=["n3"])
    book.quorum("late").heard().accepted("n1", "n2").late("n3", agrees=False)
    book.task("failing").assigned().claimed("n1", status="failed", reason="trap", output=b"").accepted("n1")
    retried = book.task("retried").assigned("n1").faulted("n1").inconclusive("n1", faulted=("n1",))
    retried.assigned("n2", replaces=("n1",)).claimed("n2").accepted("n2")
    book.task("unusable").assigned("n1").claimed("n1", output_digest="").abandoned().given_up(faulted=("n1",))
    cancelled = book.task("cancelled").assigned()
    book.withdraw("cancelled")
    cancelled.abandoned("cancelled", "cancelled", detail="its client withdrew it")
    cancelled.given_up("cancelled", "cancelled", detail="its client withdrew it")
    book.task("expired", deadline=_DEADLINE).abandoned("expired", "deadline").given_up("expired", "deadline")
    book.task("unfit").refused()
    book.task("unfit", priority=1).done()
    book.task("copied").done()
    book.task("copied")
    book.task("copied", priority=1).refused("id")
    book.decide(Leader(epoch=7, leader="c2"))
    book.decide(Refused(client="me", source=(book.ask(b"{}"), 0), field="work", limit="is required"))
    large = book.task("large").assigned()
    large.claimed(output_size=1 << 20, output_digest="ab" * 32, kept=False).accepted()
    book.task("paid", reward=3000, price=7).done()
    return book


def folded(entries: dict[str, list[Entry]], chance: random.Random | None = None) -> Report:
    """The report on these logs, in an interleaving drawn from `chance`."""
    turns = [log for log in LOGS for _ in entries[log]]
    if chance is not None:
        chance.shuffle(turns)
    ahead = {log: iter(entries[log]) for log in LOGS}
    found = Audit()
    for log in turns:
        found.fold(log, next(ahead[log]))
    return found.report()


def test_what_honest_services_write_holds() -> None:
    """All that may happen to a task breaks no promise, and each promise had something to be examined by."""
    report = everything().audit()

    assert report.violations == ()
    assert report.holds
    assert [promise.name for promise in report.promises if not promise.examined] == []
    assert report.open == ()
    assert report.verdicts == {"verified": 8, "failed": 2, "cancelled": 1, "expired": 1}
    assert (report.tasks, report.refused) == (12, 3)
    assert [(led.epoch, led.leader) for led in report.leaders] == [(1, "c1"), (7, "c2")]
    assert [signer.lines for signer in report.signers] == [14]


@given(st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_interleaving_does_not_matter(chance: random.Random) -> None:
    """However the four logs are interleaved, the report is the same to the last field."""
    entries = everything().entries

    assert folded(entries, chance) == folded(entries)


@given(st.integers(0, 1_000_000), st.floats(0, 1), st.randoms(use_true_random=False))
@example(489, 0.0, random.Random(0))  # noqa: S311 -- the server's clock jumps back before the first task
@settings(max_examples=60, deadline=None)
def test_simulated_histories_hold_at_every_moment(seed: int, moment: float, chance: random.Random) -> None:
    """What the real cores write under all kinds of faults holds at its end, and as it stood at any moment before."""
    be_quiet()
    with cheap_signatures():
        world = World(draw(seed), Parts())
        world.play()
        logs = {name: log.after(0, log.last) for name, log in world.server.logs.items()}
        stored = Counter(world.server.order[: 1 + int(moment * (len(world.server.order) - 1))])
        cut = {log: entries[: stored[log]] for log, entries in logs.items()}
        whole, before = folded(logs, chance), folded(cut, chance)

    assert whole.violations == ()
    assert whole.open == ()
    assert before.violations == ()


@given(st.integers(0, 1_000_000), st.data())
@settings(max_examples=60, deadline=None)
def test_trimmed_histories_hold(seed: int, data: st.DataObject) -> None:
    """Wherever each log begins, nothing is said to be broken for want of what was trimmed."""
    be_quiet()
    with cheap_signatures():
        world = World(draw(seed), Parts())
        world.play()
        found = Audit()
        for name, log in world.server.logs.items():
            first = data.draw(st.integers(1, log.last + 1), label=name)
            found.spans(name, first, log.last)
            for entry in log.after(0, log.last)[first - 1 :]:
                found.fold(name, entry)
        report = found.report()

    assert report.violations == ()


def test_broken_rules_are_seen_in_their_logs() -> None:
    """Cores with a rule broken on purpose write logs that the audit finds broken under the name of that promise."""
    be_quiet()
    expected = {
        "a retry without a new attempt number": "one-decision",
        "decisions forgotten after a restart": "one-decision",
        "results of unassigned nodes believed": "assigned",
        "verdicts forgotten after a restart": "one-verdict",
    }

    assert {name: promise for name, promise in expected.items() if _found(name, promise)} == expected


def _found(mutation: str, promise: str) -> bool:
    for seed in range(200):
        with cheap_signatures():
            world = World(draw(seed), MUTATIONS[mutation])
            with contextlib.suppress(Violation):
                world.play()
            if (
                promise
                in folded({name: log.after(0, log.last) for name, log in world.server.logs.items()}).broken()
            ):
                return True
    return False


@given(st.sampled_from(LOGS), st.binary(max_size=200), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_survived(log: str, body: bytes, at: int) -> None:
    """Whatever is written to whichever log, by whomever, the audit comes to its report."""
    book = everything()
    subject = {"tasks": "avcp.test.tasks.submit.x y", "results": "avcp.test.results.n1"}.get(log, "avcp.test")
    book.write(log, subject, body)
    report = book.audit([*LOGS[at:], *LOGS[:at]])

    assert report.tasks >= 11
    if log in ("tasks", "results"):
        assert report.holds


def test_strangers_cannot_break_anything_by_what_they_may_write() -> None:
    """Nonsense submissions are open until they are refused; claims that nobody may make count for nothing."""
    book = everything()
    asked = book.ask(b"nonsense")
    story = book.task("honest").assigned("n1")
    book.write("results", "avcp.test.results.n1", b"nonsense")
    story.claimed("n1", key="thief", output=b"stolen")
    story.claimed("n4", output=b"not asked")
    story.claimed("n1", decision=10**6)
    story.claimed("n1").accepted("n1")
    report = book.audit()

    assert report.holds
    assert [(task.task, task.state, task.source[0]) for task in report.open] == [("", "unrefused", asked)]
    assert report.claims_ignored == 1
    assert report.claims == 19


def test_open_tasks_say_where_they_stand() -> None:
    """Each task without an end is listed with its state, age, attempt and nodes; copies and what has ended are not."""
    book = Book()
    book.task("waiting")
    book.task("waiting")
    book.task("assigned").assigned("n2")
    book.quorum("half").assigned("n1", "n2", "n3").claimed("n1")
    book.task("claimed").assigned("n1").assigned("n2").claimed("n2")
    book.task("abandoned").assigned("n1").abandoned()
    book.task("done").done()
    book.task("done", priority=9)
    first = book.entries["tasks"][0].at_ms
    book.now_ms += 5000
    report = book.audit()

    assert report.holds
    assert [(t.task, t.state, t.attempt, t.nodes) for t in report.open] == [
        ("me.waiting", "waiting", 0, ()),
        ("me.assigned", "assigned", 1, ("n2",)),
        ("me.half", "assigned", 1, ("n1", "n2", "n3")),
        ("me.claimed", "claimed", 2, ("n2",)),
        ("me.abandoned", "abandoned", 1, ("n1",)),
        ("me.done", "unrefused", 0, ()),
    ]
    newest = max(entries[-1].at_ms for entries in book.entries.values())
    assert report.open[0] == OpenTask("me.waiting", (1, 0), "waiting", first, newest - first, 0, ())


def test_names_are_read_as_the_paper_says() -> None:
    """A submission without id is named after its place, one of many lines with its line; one over many lines is one task."""
    book = Book()
    line = b'{"work":{"kind":"wasm","module":"sha256:' + b"ab" * 32 + b'"}}'
    book.ask(line)
    book.ask(line, line)
    book.ask(line.replace(b",", b",\n"))
    report = book.audit()

    assert [task.task for task in report.open] == ["me.1", "me.2-0", "me.2-1", "me.3"]


def test_a_name_may_come_back_after_the_retention_span() -> None:
    """The same name is a new task, with attempts from 1 on, if it was asked for more than 24 h after its verdict; sooner, it is a violation."""
    returned, hasty = Book(), Book()
    for book, hours in ((returned, 25), (hasty, 23)):
        book.task().done()
        book.now_ms += hours * HOUR_MS
        book.task(priority=1).done()

    returned.now_ms += 25 * HOUR_MS
    returned.task(priority=2)

    assert returned.audit().violations == ()
    assert [(task.task, task.state) for task in returned.audit().open] == [("me.t1", "waiting")]
    assert returned.audit(retention_ms=26 * HOUR_MS).broken() == ("one-verdict", "one-body")
    assert hasty.audit().broken() == ("one-verdict", "one-body")


def test_what_was_trimmed_is_counted_and_no_violation() -> None:
    """Of a log that begins later, the audit says from where on it speaks, and what it could not examine."""
    book = everything()
    kept = {"tasks": 3, "assignments": 4, "results": 3}
    report = book.audit(kept=kept)
    trimmed = {promise.name for promise in report.promises if promise.trimmed}

    assert report.violations == ()
    assert {log.log: log.first for log in report.logs} == {**kept, "verdicts": 1}
    assert {"asked", "evidence", "assigned"} <= trimmed


def test_a_violation_in_what_is_kept_is_found_in_a_trimmed_log() -> None:
    """Trimming hides what was trimmed, and nothing else."""
    book = everything()
    book.task("again").done().again()
    report = book.audit(kept={"tasks": 3, "assignments": 4, "results": 3, "verdicts": 2})

    assert report.broken() == ("one-verdict",)


def test_a_task_whose_verdict_may_be_trimmed_is_not_called_open() -> None:
    """What is older than the first verdict that is kept may have had its own before; what is newer is open."""
    book = Book()
    book.task("old").done()
    book.task("between").done()
    book.task("new")
    report = book.audit(kept={"verdicts": 2})

    assert [task.task for task in report.open] == ["me.new"]
    assert {p.name: p.trimmed for p in report.promises}["one-end"] == 1


def test_entries_are_counted_once() -> None:
    """An entry that is fed again changes nothing."""
    book = everything()
    found = Audit()
    for _ in range(2):
        for log in LOGS:
            for entry in book.entries[log]:
                found.fold(log, entry)

    assert found.report() == folded(book.entries)


def test_a_task_that_everybody_claims_costs_what_its_claims_cost() -> None:
    """Strangers may claim one task as often as they like: the report is the same, and none of it is copied for each claim."""
    book = Book()
    story = book.task().assigned("n1")
    story.claimed("n1")
    claim = story.results["n1"][0]
    for _ in range(20):
        book.claim(*[claim] * 500)
    story.accepted("n1")
    found = Audit()
    for log in LOGS:
        for entry in book.entries[log]:
            found.fold(log, entry)

    assert isinstance(found._facts["me.t1"], bytearray)
    assert (found.report().holds, found.report().claims) == (True, 10_001)


def test_a_million_tasks_fit_a_laptop() -> None:
    """A finished task with one replica takes at most 400 packed bytes."""
    book = Book()
    for number in range(200):
        book.task(f"t{number}").assigned(NODES[number % 4]).claimed(NODES[number % 4]).accepted(
            NODES[number % 4]
        )
    found = Audit()
    for log in LOGS:
        for entry in book.entries[log]:
            found.fold(log, entry)

    assert found.report().holds
    assert sum(len(packed) for packed in found._facts.values()) / 200 < 400
    assert encode(found.report())
