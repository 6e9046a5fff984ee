"""The pure parts: tokens, rates, positions, rings, the meter, and a fold that no line breaks."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import IdentityUnusable, Malformed
from bus.join import JoinToken
from bus.reader import Entry
from bus.signing import Identity
from gateway.rates import Buckets
from gateway.tokens import Tokens
from gateway.view.core import View, items_of
from gateway.view.meter import Meter
from gateway.view.ring import ALL_LOGS, Kept, Ring, position_of, position_text

TOKEN = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
SEQUENCES = st.fixed_dictionaries({log: st.integers(0, 2**63 - 1) for log in ALL_LOGS})


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_revoked_token_ends_within_a_second(tmp_path: Path) -> None:
    """Also where another process ended it; and the file is for its owner alone."""
    clock = Clock()
    tokens, elsewhere = Tokens(tmp_path / "t.json", clock=clock), Tokens(tmp_path / "t.json")
    token = tokens.create("a", "viewer", "eve", created="now")
    assert tokens.caller(token) is not None
    assert elsewhere.revoke("a") == 1
    clock.now = 1.1

    assert tokens.caller(token) is None
    assert (tmp_path / "t.json").stat().st_mode & 0o777 == 0o600


@given(st.text(max_size=80) | st.from_regex(r"avcp_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_other_text_is_a_token(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever is presented, only what was made is known."""
    folder = tmp_path_factory.getbasetemp() / "guesses"
    folder.mkdir(exist_ok=True)
    tokens = Tokens(folder / "t.json")
    if not tokens.rows():
        tokens.create("a", "operator", "ada", created="now")

    assert tokens.caller(text) is None


def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    """A token submits in a client's name, which is a word of a subject."""
    with pytest.raises(Malformed):
        Tokens(tmp_path / "t.json").create("a", "client", "a.b", created="now")


@given(st.lists(st.floats(0, 3), max_size=200), st.floats(0.5, 50), st.floats(1, 20))
def test_a_token_never_makes_more_than_its_rate(pauses: list[float], per_s: float, burst: float) -> None:
    """In any span at most its burst and what the span adds; told how long to wait, it is served after that."""
    buckets, now, granted = Buckets(per_s, burst), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("t", now)
        granted += wait == 0.0
        assert granted <= burst + now * per_s + 1e-3
        if wait:
            assert buckets.take(f"another, never seen at {now}", now) == 0.0
            now += wait + 1e-6
            assert buckets.take("t", now) == 0.0
            granted += 1


@given(SEQUENCES)
def test_a_position_reads_as_it_was_written(position: dict[str, int]) -> None:
    """An event's id is a position in all logs and nothing else."""
    assert position_of(position_text(position)) == position


@given(st.text(max_size=60))
def test_any_other_text_is_no_position(text: str) -> None:
    """Whatever a client sends as `Last-Event-ID`."""
    found = position_of(text)

    assert found is None or set(found) == set(ALL_LOGS)


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(0, 80))
def test_a_ring_is_bounded_and_misses_nothing_behind_its_beginning(sizes: list[int], position: int) -> None:
    """It keeps the newest, at most so many items (or one entry), and from `begins` on every entry in order."""
    ring = Ring("tasks", most_items=100)
    ring.start(1)
    for sequence, size in enumerate(sizes, 1):
        ring.put(Kept("tasks", sequence, 0, [None] * size))  # type: ignore[list-item]  # never looked at
    kept = [entry.sequence for entry in ring.behind(max(position, ring.begins - 1))]

    assert kept == list(range(max(position, ring.begins - 1) + 1, len(sizes) + 1))
    held = list(ring.behind(0))
    assert sum(len(entry.items) + 1 for entry in held) <= 100 or len(held) == 1


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=300))
def test_quantiles_are_right_within_a_twentieth(waits: list[int]) -> None:
    """The median that is told is close to one that a sorted list gives."""
    meter = Meter()
    for wait in waits:
        meter.accepted(1_000_000, wait, 0.0, 1)
    exact = sorted(waits)[(len(waits) + 1) // 2 - 1]
    told = meter.latency(1_000_000).p50_ms

    assert told is not None
    assert exact / 1.06 - 0.1 <= told <= exact * 1.06 + 0.1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KINDS = (
    "leader",
    "enrolled",
    "assigned",
    "abandoned",
    "refused",
    "verdict",
    "inconclusive",
    "late",
    "signed",
    "built",
    "final",
)
LINES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS), "task": st.text(max_size=8)},
        optional={
            "id": TOKEN,
            "nodes": st.lists(TOKEN, max_size=3),
            "node": TOKEN,
            "attempt": st.integers(-2, 5),
            "status": st.sampled_from(["verified", "failed", "ok", "?"]),
            "source": st.just([1, 0]),
            "size": st.integers(0, 9),
            "verdicts": st.integers(0, 9),
            "note": st.text(max_size=5),
            "epoch": st.integers(0, 3),
            "leader": TOKEN,
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(ALL_LOGS), st.lists(LINES, max_size=4)), max_size=30))
def test_nothing_that_stands_in_a_log_breaks_the_view(entries: list[tuple[str, list[bytes]]]) -> None:
    """Whatever bytes a log holds, the fold goes on, memory stays bounded, and read again the entry gives the same event."""
    view = View(100)
    for sequence, (log, lines) in enumerate(entries, 1):
        entry = Entry(sequence, 1000 * sequence, "avcp.x.tasks.submit.me", b"\n".join(lines))
        view.deliver(log, entry)
        kept = next(iter(view.rings[log].behind(sequence - 1)))

        assert kept.items == items_of(log, entry)
    for record in view.book.newest():
        assert record.summary().task == record.name
    view.anchors.view()
    view.anchors.proven(1)
    view.meter.rates(1000 * len(entries))

    assert len(view.book.records) <= 100


def test_what_is_remembered_is_bounded_and_the_newest() -> None:
    """Of ten thousand tasks a hundred remain, the last ones; a second submission under an id changes nothing of the first."""
    view = View(100)
    for sequence in range(1, 10_001):
        view.deliver(
            "tasks",
            Entry(sequence, sequence, "avcp.x.tasks.submit.me", b'{"id":"t%d","priority":1}' % sequence),
        )
    view.deliver("tasks", Entry(10_001, 10_001, "avcp.x.tasks.submit.me", b'{"id":"t9999","priority":9}'))
    newest = [record.name for record in view.book.newest()]
    again = view.book.get("me.t9999")

    assert newest == [f"me.t{n}" for n in range(10_000, 9_900, -1)]
    assert again is not None
    assert (again.priority, again.source) == (1, (9999, 0))


def test_a_join_token_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was made is read back; cut, changed or made up it is refused; and it never replaces another identity."""
    made = JoinToken(nats="nats://h:4222", cluster="home", node="n1", seed=os.urandom(32))
    text = made.text()
    made.keep(tmp_path / "a" / "identity")
    made.keep(tmp_path / "a" / "identity")
    Identity.load(tmp_path / "b" / "identity")

    assert JoinToken.read(f" {text}\n") == made
    assert Identity.load(tmp_path / "a" / "identity").key == Identity.from_seed(made.seed).key
    for bad in (
        text[:-3],
        text.replace("avcp-join-", ""),
        text + "!",
        "avcp-join-",
        "",
        text[:20] + "?" + text[20:],
    ):
        with pytest.raises(Malformed) as refused:
            JoinToken.read(bad)
        assert refused.value.field == "join"
    with pytest.raises(IdentityUnusable, match="another identity"):
        made.keep(tmp_path / "b" / "identity")
    assert made.seed.hex() not in repr(made)


def test_a_fold_of_an_entry_costs_microseconds() -> None:
    """A gateway beside a busy cluster must not be what slows it: a thousand lines of a batch in well under a tenth of a second."""
    view = View(20_000)
    lines = b"\n".join(
        b'{"kind":"assigned","task":"me.t%d","attempt":1,"nodes":["n1"],"source":[1,%d],"spec":"a","module":"b","input":"c","lease_ms":1}'
        % (number, number)
        for number in range(1000)
    )
    begun = time.process_time()
    view.deliver("assignments", Entry(1, 1, "avcp.x.assignments", lines))

    assert time.process_time() - begun < 0.1
    assert len(view.book.records) == 1000
