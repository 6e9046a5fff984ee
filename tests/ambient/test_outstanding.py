"""The client's book of open entries: each ends once, whatever is heard of it, and in whatever order."""

from ambient.errors import AmbientError
from ambient.outstanding import Entry, Outstanding
from bus.messages import Verdict


class Silent:
    """A sink that only waits."""

    def stored(self, entry: Entry) -> None:
        """See `Sink`."""

    def not_stored(self, entry: Entry, error: AmbientError) -> None:
        """See `Sink`."""

    def settled(self, entry: Entry, verdict: Verdict, output: bytes | None) -> None:
        """See `Sink`."""

    def broken(self, entry: Entry, error: AmbientError) -> None:
        """See `Sink`."""


def test_a_copy_that_has_its_verdict_is_not_refused_any_more() -> None:
    """The same bytes submitted twice: the first one's verdict ends both, and a full log that refuses the second comes too late."""
    book = Outstanding("me")
    first, second, other = (Entry(f"me.{name}", b"{}", Silent()) for name in ("t", "t", "u"))
    for entry in (first, second, other):
        book.add(entry)
    ended = [entry for entry, _ in book.settle(Verdict(task="me.t", status="verified"))]

    assert sorted(map(id, ended)) == sorted(map(id, (first, second)))
    assert book.not_stored([second, other]) == [other]
    assert len(book) == 0
