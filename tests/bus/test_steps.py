"""What logs say of tasks: the path is taken from strangers as far as a log may hold it, and nothing is said unless it is asked for."""

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bus.steps import BARE, PATH_HEADER, STEPS, about, named, path_header, path_of
from bus.trace import trace_id


@given(st.text(max_size=80))
def test_a_path_is_short_printable_and_without_spaces_or_none(said: str) -> None:
    """Anybody may write the header: what could break a line, fill it or hide in it is not passed on."""
    path = path_of({PATH_HEADER: said})

    assert path in ("", said)
    assert len(path) <= 64
    assert not path or (path.isascii() and path.isprintable() and " " not in path)


def test_a_path_that_we_say_is_heard_and_without_one_there_is_none() -> None:
    """What clients of ours put there, and a message with no headers or with others only."""
    assert [path_of(path_header(path)) for path in ("/api/v1/tasks", "sdk", "cli")] == [
        "/api/v1/tasks",
        "sdk",
        "cli",
    ]
    assert [path_of(None), path_of({}), path_of({"Nats-Msg-Id": "x"})] == ["", "", ""]


def test_a_line_about_a_task_has_its_submitter_and_trace() -> None:
    """Whoever logs it; where the line names a submitter that stays; other lines stay as they are."""
    name = named("home")
    plain = name(None, "info", {"task": "me.t1"})
    given_one = name(None, "info", {"task": "me.t1", "submitter": "operator"})

    assert plain == {"task": "me.t1", "submitter": "me", "trace_id": trace_id("home", "me.t1")}
    assert given_one["submitter"] == "operator"
    assert name(None, "info", {"event": "x", "task": ""}) == {"event": "x", "task": ""}
    assert about("home", "me.t1", "") == {**plain, "path": BARE}


def test_a_step_says_whose_task_and_how_it_came_in() -> None:
    """A path that nobody told is a bare publish; one that is not known any more is left out rather than made up."""
    STEPS.on = True
    with capture_logs() as said:
        STEPS.tell("assigned", "me.t1", "sdk", attempt=1)
        STEPS.tell("claimed", "me.t1", "")
        STEPS.tell("claimed", "me.t1", None)

    assert said == [
        {"event": "assigned", "log_level": "info", "task": "me.t1", "path": "sdk", "attempt": 1},
        {"event": "claimed", "log_level": "info", "task": "me.t1", "path": BARE},
        {"event": "claimed", "log_level": "info", "task": "me.t1"},
    ]


def test_nothing_is_said_unless_it_is_asked_for() -> None:
    """A line for each step of each task would be most of what a process does."""
    with capture_logs() as said:
        STEPS.tell("assigned", "me.t1", "sdk")

    assert said == []
