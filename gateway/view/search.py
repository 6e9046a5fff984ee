"""Finding tasks among those that are remembered: what a list lets through, page by page. Pure.

Guarantees that pages which follow each other's cursors hold each task that matches once, newest first, whatever comes or is forgotten in between; and that
a page costs one look at each remembered task at most.
"""

from dataclasses import dataclass

from bus.messages import TaskState
from gateway.errors import Refused
from gateway.view.book import Book, Record

__all__ = ["TaskFilter", "page"]

_SHA = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """What a task must be like; None and nothing mean anything.

    `module` is how its digest begins, with or without `sha256:`, `prefix` how its id begins, `search` a part of `<client>.<id>`. It was asked at
    `since_ms` or later and before `until_ms`: with either, a task of which the submission was not read yet is not found.
    Raises `Refused` for a time that ends before it begins.
    """

    states: frozenset[TaskState] = frozenset()
    client: str | None = None
    node: str | None = None
    module: str | None = None
    prefix: str | None = None
    search: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        if self.since_ms is not None and self.until_ms is not None and self.until_ms < self.since_ms:
            limit = f"must not be before since_ms, {self.since_ms}"
            raise Refused(f"until_ms: {limit}", field="until_ms", limit=limit)

    def lets(self, record: Record) -> bool:
        """Whether it is one of those."""
        return (
            (self.client is None or record.client == self.client)
            and (self.node is None or self.node in record.nodes)
            and (not self.search or self.search in record.name)
            and (self.prefix is None or record.name.startswith(self.prefix, len(record.client) + 1))
            and (self.module is None or record.module.startswith(_SHA + self.module.removeprefix(_SHA)))
            and self._in_time(record.asked_ms)
            and (not self.states or record.state in self.states)
        )

    def _in_time(self, asked_ms: int) -> bool:
        if self.since_ms is None and self.until_ms is None:
            return True
        return (
            bool(asked_ms)
            and asked_ms >= (self.since_ms or 0)
            and (self.until_ms is None or asked_ms < self.until_ms)
        )


def page(book: Book, wanted: TaskFilter, cursor: int | None, most: int) -> tuple[list[Record], int | None]:
    """At most so many of them behind `cursor`, and the next page's cursor; None on the last."""
    found: list[Record] = []
    for record in book.newest(cursor):
        if not wanted.lets(record):
            continue
        if len(found) == most:
            return found, found[-1].number
        found.append(record)
    return found, None
