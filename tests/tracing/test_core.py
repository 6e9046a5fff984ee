"""The fold of traces: each task's spans are what the logs say, in whatever order they are read, and memory has its bound."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.reader import Entry
from bus.trace import is_sampled, span_id, trace_id
from tests.tracing.book import given_up, retried, told
from tracing.core import Core

LOGS = ["tasks", "assignments", "results", "verdicts"]


def test_a_task_is_told_from_its_submission_to_its_verdict() -> None:
    """Who decided, who ran it and who judged, from when to when; a failed attempt is one, a stranger's claim and a repeated one are none."""
    spans = told(retried(), [])
    root = spans[0]
    by = {(span.name, span.instance, span.begin_ms, span.end_ms, span.error) for span in spans}

    assert by == {
        ("task", "me", 1_000, 1_200, ""),
        ("decide", "c1", 1_000, 1_010, ""),
        ("run", "n1", 1_010, 1_050, "fault: engine"),
        ("decide", "c1", 1_050, 1_100, ""),
        ("run", "n2", 1_100, 1_150, ""),
        ("run", "n3", 1_100, 1_180, ""),
        ("judge", "v1", 1_180, 1_200, ""),
    }
    assert len(spans) == len({span.id for span in spans}) == 7
    assert {span.trace for span in spans} == {trace_id("c", "me.t")}
    parents = {span.id: span.name for span in spans}
    assert {(span.name, parents.get(span.parent, "")) for span in spans} == {
        ("task", ""), ("decide", "task"), ("run", "decide"), ("judge", "task"),
    }  # fmt: skip
    assert root.attributes["ambient.attempts"] == 2


def test_what_nobody_ran_is_told_with_its_reason() -> None:
    """A task past its deadline and a submission that is no task are traces with an error."""
    spans = told(given_up(), [])

    assert [(span.name, span.begin_ms, span.end_ms, span.error) for span in spans if not span.parent] == [
        ("task", 500, 700, "work is required"),
        ("task", 500, 720, "expired: deadline"),
    ]
    assert [span.name for span in spans if span.parent] == ["give up", "judge"]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(LOGS), max_size=12))
def test_the_order_of_reading_changes_nothing(turns: list[str]) -> None:
    """Whatever log is read first, the spans are the same."""
    for logs in (retried(), given_up()):
        assert sorted(told(logs, turns), key=lambda span: span.id) == sorted(
            told(logs, []), key=lambda span: span.id
        )


def test_what_is_never_read_is_not_waited_for() -> None:
    """A task whose assignments were before the reading began is told after five seconds with what there is."""
    core, logs = Core("c"), retried()
    for entry in logs["verdicts"]:
        core.fold("verdicts", entry, 0)

    assert core.take(4_999) == []
    assert [span.name for span in core.take(5_000)] == ["task", "judge"]
    assert core.take(60_000) == []


def test_more_than_so_many_open_tasks_are_not_kept() -> None:
    """The oldest are let go, and counted."""
    core, logs = Core("c", most_open=1), retried()
    for entry in [*given_up()["assignments"], *logs["assignments"]]:
        core.fold("assignments", entry, 0)

    assert core.lost == 1
    assert "open=1" in repr(core)


@given(st.binary(max_size=200), st.sampled_from(LOGS))
def test_what_is_no_line_is_passed_over(body: bytes, log: str) -> None:
    """Whatever bytes a log holds, nothing raises and what follows is read."""
    core = Core("c")
    core.fold(log, Entry(1, 1, "x", body), 0)

    assert {span.name for span in told(retried(), [], core)} == {"task", "decide", "run", "judge"}


@given(st.text(max_size=40), st.floats(0, 1))
def test_everybody_chooses_the_same_share(task: str, share: float) -> None:
    """A trace that is in a share is in every larger one; none are in the share 0, all in 1. Ids have the size that W3C gives them."""
    trace = trace_id("c", task)

    assert (len(trace), len(span_id(trace, "run", 1, "n"))) == (32, 16)
    assert is_sampled(trace, 1.0)
    assert not is_sampled(trace, 0.0)
    assert not is_sampled(trace, share) or is_sampled(trace, (1 + share) / 2)


def test_what_is_not_in_the_share_is_not_told() -> None:
    """Nor does it take memory."""
    core = Core("c", share=0.0)

    assert told(retried(), [], core) == []
    assert told(given_up(), [], core) == []
    assert "open=0" in repr(core)
