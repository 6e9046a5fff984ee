"""Finding tasks: the filters say what they say, and pages hold each task once. Pure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Assigned
from gateway.errors import Refused
from gateway.view.book import Book, Record
from gateway.view.lines import AskedLine, VerdictLine
from gateway.view.search import TaskFilter, page

DIGESTS = ("sha256:" + "ab" * 32, "sha256:" + "ac" * 32)
STATES = ("waiting", "assigned", "verified", "failed")
SOME = st.fixed_dictionaries(
    {},
    optional={
        "states": st.frozensets(st.sampled_from(STATES), max_size=2),
        "client": st.sampled_from(("me", "you")),
        "node": st.sampled_from(("n1", "n2")),
        "module": st.sampled_from(("a", "ab", "sha256:ac", "f")),
        "prefix": st.sampled_from(("a", "ab", "x")),
        "search": st.sampled_from(("", "b", "me.a", "u")),
        "since_ms": st.integers(0, 20),
        "until_ms": st.integers(20, 40),
    },
)


class Told(msgspec.Struct):
    """A task as it was, apart from the book."""

    client: str
    id: str
    state: str
    module: str
    node: str
    asked_ms: int


TOLD = st.builds(
    Told,
    client=st.sampled_from(("me", "you")),
    id=st.text("ab", min_size=1, max_size=4),
    state=st.sampled_from(STATES),
    module=st.sampled_from(DIGESTS),
    node=st.sampled_from(("n1", "n2")),
    asked_ms=st.integers(0, 40),
)
TASKS = st.lists(TOLD, max_size=30, unique_by=lambda told: (told.client, told.id))


def book_of(tasks: list[Told]) -> Book:
    """A book of these; one that was asked at 0 is known by its decision alone."""
    book = Book(1000)
    for number, told in enumerate(tasks, 1):
        name = f"{told.client}.{told.id}"
        if told.asked_ms:
            line = msgspec.convert({"work": {"module": told.module}}, AskedLine)
            book.asked(name, (number, 0), told.asked_ms, line, b"")
        else:
            book._record(name)
        if told.state != "waiting":
            book.assigned(_assigned(name, told.node, number), number, 1)
        if told.state in ("verified", "failed"):
            book.accepted(VerdictLine(task=name, status=told.state, agree=(told.node,)), (number, 0), 2)
    return book


def _assigned(name: str, node: str, number: int) -> Assigned:
    said: dict[str, Any] = {"task": name, "attempt": 1, "nodes": [node], "lease_ms": 1, "source": [number, 0]}
    said |= {"kind": "assigned", "spec": "a", "module": "b", "input": "c"}
    return msgspec.convert(said, Assigned)


def is_wanted(told: Told, **by: Any) -> bool:
    """The filters, one by one, as a person would read them."""
    module = told.module if told.asked_ms else ""
    node = told.node if told.state != "waiting" else ""
    return all(
        {
            "states": lambda states: not states or told.state in states,
            "client": lambda client: told.client == client,
            "node": lambda name: node == name,
            "module": lambda digest: module[7:].startswith(digest.removeprefix("sha256:")) and bool(module),
            "prefix": told.id.startswith,
            "search": lambda part: part in f"{told.client}.{told.id}",
            "since_ms": lambda since: told.asked_ms and told.asked_ms >= since,
            "until_ms": lambda until: told.asked_ms and told.asked_ms < until,
        }[name](value)
        for name, value in by.items()
    )


@given(TASKS, SOME, st.integers(1, 5))
def test_pages_hold_each_task_that_matches_once_newest_first(
    tasks: list[Told], by: dict[str, Any], most: int
) -> None:
    """Whatever the filters and however long the pages, also while newer tasks come in."""
    book, found, cursor = book_of(tasks), list[Record](), None
    wanted = TaskFilter(**by)
    while True:
        part, cursor = page(book, wanted, cursor, most)
        found += part
        assert len(part) == most or cursor is None
        if cursor is None:
            break
        book.asked(f"me.late{cursor}", (10_000 + cursor, 0), 20, AskedLine(), b"")

    expected = [f"{told.client}.{told.id}" for told in reversed(tasks) if is_wanted(told, **by)]
    assert [record.name for record in found] == expected


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    """By the name of the field, with what is allowed there; an empty time is one, and holds nothing."""
    with pytest.raises(Refused) as refused:
        TaskFilter(since_ms=5, until_ms=4)

    assert (refused.value.field, refused.value.limit) == ("until_ms", "must not be before since_ms, 5")
    assert page(book_of([]), TaskFilter(since_ms=5, until_ms=5), None, 9) == ([], None)
