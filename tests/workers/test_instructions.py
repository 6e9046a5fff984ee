"""What a node reads on its subject: every line that is an instruction, whatever else is in the message."""

import pytest

from bus.messages import CancelAttempt
from bus.wire import encode
from workers.executor import _read

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
