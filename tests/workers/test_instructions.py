"""What a node reads on its subject: every line that is an instruction, whatever else is in the message."""

import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from bus.messages import Assign, CancelAttempt
from bus.steps import BARE, STEPS
from bus.wire import encode
from workers.core import NodeCore
from workers.executor import _read
from workers.steps import tell_ordered

_CANCEL = CancelAttempt(task="me.t1", attempt=1)


@pytest.mark.parametrize(
    "bad",
    [
        *(b"[" * 50_000, b'{"kind":' * 50_000, b'{"kind":"cancel","task":"\xff"}', b'{"task":"\\ud800"}'),
        *(b"\0", b"{", b'{"kind":"cancel","task":"a","attempt":1.5}', b'{"kind":"nothing"}'),
        b'{"kind":"assign","decision":1,"task":"a","attempt":1,"lease_ms":1,"spec":' + b"[" * 50_000 + b"}",
    ],
    ids=lambda line: repr(line[:24]),
)
def test_a_bad_line_costs_no_good_one(bad: bytes) -> None:
    """The instructions before and after it are read."""
    line = encode(_CANCEL)

    assert _read(b"\n".join((line, bad, line))) == [_CANCEL, _CANCEL]
    assert _read(bad) == []


def test_each_attempt_that_is_taken_stopped_or_handed_back_is_told() -> None:
    """With how its task came in, as far as that is known: of what the node never took it keeps only the name."""
    work = b'{"work":{"kind":"wasm","module":"sha256:' + b"0" * 64 + b'"}}'
    core = NodeCore(slots=2, memory_mb=2048)
    first = Assign(decision=1, task="me.a", attempt=1, lease_ms=1, spec=Raw(work), path="cli")
    bare = Assign(decision=1, task="me.b", attempt=2, lease_ms=1, spec=Raw(work))
    (need,) = core.instruct([first, bare]).fetch
    STEPS.on = True
    with capture_logs() as said:
        tell_ordered(core.fetched(need))
        tell_ordered(core.instruct([CancelAttempt(task="me.a", attempt=1)]))
        core.drain(lambda _: True)
        tell_ordered(core.instruct([Assign(decision=1, task="me.c", attempt=1, lease_ms=1, spec=Raw(work))]))

    assert [(line["event"], line["task"], line["attempt"], line.get("path")) for line in said] == [
        ("taken", "me.a", 1, "cli"),
        ("taken", "me.b", 2, BARE),
        ("stopped", "me.a", 1, "cli"),
        ("handed back", "me.c", 1, None),
    ]
