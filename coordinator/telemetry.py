"""From bytes under `telemetry.<node>` to what a node really said: every message is checked, none is sampled.

Guarantees that what `TelemetryGate.open` returns was signed with the key that owns the node's name, speaks for that node, and is
newer than the heartbeat before it. So between two heartbeats there is nothing to gain for a forger: a wrong key, another
node's message and a replayed one are refused each time, the cheap checks first.

Why every message: 10,000 nodes send 5,000 a second. With libsodium a message costs about 65 us, a third of a core in all;
checking only some of them would save that third, and would let a forger steer placement in between. OpenSSL, used
where PyNaCl is not installed, takes about twice that and stays below a core.

What is left to an attacker who may publish under the node's subject: to withhold heartbeats or deliver them late, and to make
the coordinator verify rubbish at 60 us apiece. Telemetry only influences placement, never a verdict; who may
publish where is for the NATS server's permissions. Left to the caller: telling a node to enrol again, and `forget`.
"""

from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from bus import merkle
from bus.ed25519 import Check, fastest_check
from bus.errors import BadSignature, Malformed
from bus.messages import Goodbye, Telemetry
from bus.signing import GOODBYE, TELEMETRY, Envelope, pae
from bus.wire import MAX_MESSAGE_BYTES, decode, decoder
from coordinator.registry import SUSPECT_AFTER_MS

__all__ = ["TelemetryGate"]


class _Newest(NamedTuple):
    at_ms: int
    arrived_ms: int


_ENVELOPE = decoder(Envelope)
_KINDS: dict[str, msgspec.json.Decoder[Any]] = {
    TELEMETRY: decoder(Telemetry),
    GOODBYE: decoder(Goodbye),
}


class TelemetryGate:
    """Opens heartbeats and goodbyes. `key_of` is the owner's key (hex) of a name, as `Registry.key`."""

    def __init__(self, key_of: Callable[[str], str | None], check: Check | None = None) -> None:
        self._key_of = key_of
        self._check = check or fastest_check()
        self._newest: dict[str, _Newest] = {}

    def __repr__(self) -> str:
        """How many nodes it has heard."""
        return f"TelemetryGate(heard={len(self._newest)})"

    def open(self, node: str, body: bytes, now_ms: int) -> Telemetry | Goodbye | None:
        """What `node` (the token of the subject) said, or None if it should be told to enrol again.

        None: the name is nobody's yet; or its clock went back, and for 6 s nothing newer came.
        Raises `BadSignature` for what is not genuine or no longer new, `Malformed` for what is no such message.
        """
        key = self._key_of(node)
        if key is None:
            return None
        envelope, line = _parted(body)
        if envelope.keyid != key:
            raise BadSignature(f"{node} belongs to key {key[:16]}…, not to {envelope.keyid[:16]}…")
        message: Telemetry | Goodbye = decode(line, _KINDS[envelope.payload_type])
        if message.node != node:
            raise BadSignature(f"says it is {message.node!r}, but came under the name {node!r}")
        at_ms = message.at_ms if isinstance(message, Telemetry) else None
        if at_ms is not None and not self._is_news(node, at_ms, now_ms):
            return None
        if not self._holds(envelope, line):
            raise BadSignature(f"the signature of key {key[:16]}… does not hold for this message")
        if at_ms is not None:
            self._newest[node] = _Newest(at_ms, now_ms)
        return message

    def forget(self, node: str) -> None:
        """`node` said hello with its own key: whatever its clock says from now on is news."""
        self._newest.pop(node, None)

    def _is_news(self, node: str, at_ms: int, now_ms: int) -> bool:
        newest = self._newest.get(node)
        if newest is None or at_ms > newest.at_ms:
            return True
        if now_ms - newest.arrived_ms > SUSPECT_AFTER_MS:
            return False
        raise BadSignature(
            f"a heartbeat of {at_ms} is no news after that of {newest.at_ms}: a replay, or late"
        )

    def _holds(self, envelope: Envelope, line: bytes) -> bool:
        key, signature = bytes.fromhex(envelope.keyid), b64decode(envelope.sig)
        return self._check(key, signature, pae(envelope.payload_type, merkle.root([line])))


def _parted(body: bytes) -> tuple[Envelope, bytes]:
    """Envelope and the one member; heartbeats do not travel in batches."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise Malformed("", f"a message holds at most {MAX_MESSAGE_BYTES} bytes, this one has {len(body)}")
    head, _, line = body.partition(b"\n")
    if not line or b"\n" in line:
        raise Malformed("", "telemetry is an envelope line and exactly one member")
    envelope = decode(head, _ENVELOPE)
    if envelope.payload_type not in _KINDS:
        raise BadSignature(f"signed as {envelope.payload_type!r}, not as {' or '.join(_KINDS)}")
    return envelope, line
