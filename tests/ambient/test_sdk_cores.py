"""The SDK's pure parts over generated histories: each entry settled once, none forgotten, asked for in time."""

from hypothesis import given
from hypothesis import strategies as st

from ambient.asking import MAX_QUESTION, WAITS_S, Schedule
from ambient.outstanding import Entry, Outstanding
from ambient.submission import Form
from bus.messages import Quorum, Refused, TaskSpec, Verdict, Wasm
from bus.wire import decode, decoder, sha256_hex

DIGEST = "sha256:" + "0" * 64
NAMES = st.sampled_from(["me.a", "me.b", "me.c"])
BODIES = st.sampled_from([b"1", b"2"])


class Nobody:
    """A sink that the cores only carry."""

    def hear(self, *_: object) -> None:
        """Whatever is told."""

    stored = not_stored = settled = broken = hear


def entry(name: str, body: bytes = b"x") -> Entry:
    return Entry(name, body, Nobody(), 0, sha256_hex(body))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), NAMES, BODIES),
        st.tuples(st.just("stored"), st.integers(0, 9), st.none()),
        st.tuples(st.just("verdict"), NAMES, BODIES),
        st.tuples(st.just("refused"), st.integers(0, 9), st.booleans()),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_is_heard_each_entry_ends_once_and_with_its_own_body(history) -> None:
    """Duplicates, refusals before acknowledgements and verdicts of other bodies: ended once, or still expected."""
    outstanding = Outstanding("me")
    entries: list[Entry] = []
    ended: list[Entry] = []
    for step, a, b in history:
        if step == "submit":
            entries.append(entry(a, b))
            outstanding.add(entries[-1])
        elif step == "stored" and a < len(entries) and entries[a].source is None:
            ended += [e for e, _ in outstanding.stored(a + 1, [entries[a]])]
        elif step == "verdict":
            verdict = Verdict(task=a, status="verified", spec=sha256_hex(b))
            for settled, error in outstanding.settle(verdict):
                assert (error is None) == (settled.digest == verdict.spec)
                ended.append(settled)
        elif step == "refused":
            task = entries[a].name if b and a < len(entries) else None
            found = outstanding.refused(
                Refused(client="me", source=(a + 1, 0), field="f", limit="l", task=task)
            )
            ended += [found] if found else []

    assert len({id(e) for e in ended}) == len(ended)
    assert {id(e) for e in entries if not e.open} == {id(e) for e in ended}
    rest = outstanding.take_all()
    assert {id(e) for e in rest} | {id(e) for e in ended} == {id(e) for e in entries}
    assert len(outstanding) == 0


def test_a_refusal_that_outruns_the_acknowledgement_is_kept_for_it() -> None:
    """The coordinator may be quicker than the server's answer to us."""
    outstanding, sent = Outstanding("me"), entry("me.a")
    outstanding.add(sent)
    early = Refused(client="me", source=(7, 0), field="f", limit="l", task="me.a")

    assert outstanding.refused(early) is None
    assert outstanding.stored(7, [sent]) == [(sent, early)]


def test_a_refusal_in_the_middle_leaves_the_others_of_that_name() -> None:
    """Three submissions of one id, the second refused: the first and the third still get the verdict."""
    outstanding, sent = Outstanding("me"), [entry("me.a", b"1"), entry("me.a", b"2"), entry("me.a", b"1")]
    for sequence, each in enumerate(sent):
        outstanding.add(each)
        outstanding.stored(sequence, [each])
    refused = Refused(client="me", source=(1, 0), field="id", limit="l", task="me.a")

    assert outstanding.refused(refused) is sent[1]
    assert [e for e, _ in outstanding.settle(Verdict(task="me.a", status="verified"))] == [sent[2], sent[0]]


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=60), st.integers(1, 40))
def test_every_open_entry_is_asked_for_in_time(arrivals, settled_every) -> None:
    """Ticking through time, no open entry waits longer than the longest wait, and none that is settled is asked for."""
    schedule, now = Schedule(), 0.0
    last: dict[Entry, float] = {}
    for at, (gap, soon) in enumerate(arrivals):
        new = entry(f"me.{at}")
        schedule.later(new, now, soon=soon)
        last[new] = now
        if at % settled_every == 0:
            new.open = False
        now += gap
        while due := schedule.due(now):
            for asked in due:
                assert asked.open
                last[asked] = now
                schedule.again(asked, now)
        waiting = [e for e in last if e.open]
        assert all(now - last[e] <= max(WAITS_S) for e in waiting)


def test_a_reconnect_asks_for_everything_in_questions_of_bounded_size() -> None:
    """Notices may be lost with the connection; an unanswered question is halved, an answered one grows again."""
    schedule = Schedule()
    for at in range(1200):
        schedule.later(entry(f"me.{at}"), 0.0)
    assert schedule.due(0.5) == []
    schedule.all_at_once()
    sizes = [len(schedule.due(0.5))]
    schedule.unanswered()
    sizes.append(len(schedule.due(0.5)))
    schedule.answered()
    sizes.append(len(schedule.due(0.5)))

    assert sizes == [MAX_QUESTION, MAX_QUESTION // 2, 450]
    assert schedule.next_in(0.5) is None


@given(
    st.lists(
        st.one_of(
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(max_size=20),
        ),
        max_size=5,
    ),
    st.binary(max_size=100),
)
def test_a_line_reads_back_as_what_was_asked(args, content) -> None:
    """What leaves the SDK is one line that the contract's own decoder takes, and the same for the same call."""
    form = Form(DIGEST, {"entry": "f", "verify": "quorum:2/3", "limits": {"fuel": 5}})
    line = form.line("t1", args, content)
    spec = decode(line, decoder(TaskSpec))

    assert b"\n" not in line
    assert spec.work == Wasm(module=DIGEST, entry="f", args=tuple(args), input=content)
    assert (spec.id, spec.verify, spec.limits.fuel) == ("t1", Quorum(2, 3), 5)
    assert line == form.line("t1", args, content)
