"""Telemetry is believed only from its node, signed, and once; forgeries are refused each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.ed25519 import by_libsodium, by_openssl
from bus.errors import BadSignature, Malformed
from bus.messages import Goodbye
from bus.signing import GOODBYE, HELLO, TELEMETRY, Identity, open_one_of
from bus.wire import encode
from coordinator.registry import Registry
from coordinator.telemetry import TelemetryGate
from tests.coordinator.nodes import capabilities, telemetry

OWNER = Identity.from_seed(b"o" * 32)
FORGER = Identity.from_seed(b"f" * 32)

CHECKS = [
    pytest.param(by_openssl, id="openssl"),
    pytest.param(
        by_libsodium(),
        id="libsodium",
        marks=pytest.mark.skipif(by_libsodium() is None, reason="PyNaCl is not installed"),
    ),
]


def heartbeat(identity=OWNER, node="n0", at_ms=1_000, payload_type=TELEMETRY) -> bytes:
    """A signed heartbeat."""
    return identity.seal(payload_type, [encode(telemetry(node, at_ms=at_ms))])


@pytest.fixture
def registry() -> Registry:
    """Two nodes: n0 belongs to OWNER, n1 to FORGER."""
    registry = Registry()
    registry.enrol("n0", OWNER.key, capabilities(), 0)
    registry.enrol("n1", FORGER.key, capabilities(), 0)
    return registry


@pytest.fixture(params=CHECKS)
def gate(registry, request) -> TelemetryGate:
    """The gate before that registry, with either library."""
    return TelemetryGate(registry.key, request.param)


def test_genuine_telemetry_is_believed(gate):
    """Heartbeats of the owner pass, each one newer than the last, and so does its goodbye."""
    assert gate.open("n0", heartbeat(at_ms=1_000), 0) == telemetry("n0", at_ms=1_000)
    assert gate.open("n0", heartbeat(at_ms=3_000), 2_000) == telemetry("n0", at_ms=3_000)
    assert gate.open("n0", OWNER.seal(GOODBYE, [encode(Goodbye(node="n0"))]), 2_001) == Goodbye(node="n0")
    assert repr(gate) == "TelemetryGate(heard=1)"


def test_the_gate_agrees_with_the_contract(gate):
    """What it opens is what any reader of signed messages finds in the same bytes."""
    body = heartbeat()
    kind, key, members = open_one_of(body, (TELEMETRY, GOODBYE))

    assert (kind, key, members) == (TELEMETRY, OWNER.key, [encode(gate.open("n0", body, 0))])


def forged_signature() -> bytes:
    """The owner's envelope over other words."""
    return heartbeat().split(b"\n")[0] + b"\n" + encode(telemetry("n0", at_ms=1_000, latency_ms=0.0))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (heartbeat(FORGER), "belongs to key"),
        (heartbeat(FORGER).replace(FORGER.key.encode(), OWNER.key.encode()), "does not hold"),
        (forged_signature(), "does not hold"),
        (heartbeat(node="n1"), "came under the name 'n0'"),
        (heartbeat(payload_type=HELLO), "signed as"),
        (heartbeat().replace(TELEMETRY.encode(), GOODBYE.encode()), "does not hold"),
        (heartbeat().replace(b'"sig":"', b'"sig":"AAAA'), "sig: "),
        (heartbeat().replace(b'"sig":"', b'"sig":"?'), "sig: "),
    ],
    ids=[
        "wrong key",
        "claimed key",
        "changed",
        "other node",
        "other type",
        "passed off",
        "long",
        "no base64",
    ],
)
def test_a_forgery_is_refused_every_time(gate, body, reason):
    """Not now and then: each forged message is refused, and the owner's next one still passes."""
    for _ in range(20):
        with pytest.raises((BadSignature, Malformed), match=reason):
            gate.open("n0", body, 0)

    assert gate.open("n0", heartbeat(), 0) is not None


def test_a_replayed_heartbeat_is_refused(gate):
    """An older heartbeat, or the same once more, cannot undo a newer one."""
    gate.open("n0", heartbeat(at_ms=1_000), 0)
    gate.open("n0", heartbeat(at_ms=3_000), 2_000)

    for at_ms in (1_000, 3_000):
        with pytest.raises(BadSignature, match="no news"):
            gate.open("n0", heartbeat(at_ms=at_ms), 8_000)


def test_a_forged_date_does_not_shut_the_owner_out(gate):
    """A forgery dated in the far future is refused without being remembered."""
    with pytest.raises(BadSignature):
        gate.open("n0", heartbeat(FORGER, at_ms=10**15).replace(FORGER.key.encode(), OWNER.key.encode()), 0)

    assert gate.open("n0", heartbeat(at_ms=1_000), 0) is not None


def test_a_clock_that_went_back_is_healed_by_a_hello(gate):
    """Once nothing newer came for 6 s the node is asked to enrol again; after that its clock counts as it is."""
    gate.open("n0", heartbeat(at_ms=9_000_000), 0)

    assert gate.open("n0", heartbeat(at_ms=1_000), 6_001) is None
    gate.forget("n0")
    assert gate.open("n0", heartbeat(at_ms=1_001), 6_002) is not None


def test_a_dead_node_is_not_revived_by_its_old_words(gate, registry):
    """Replaying the heartbeats of a node that fell silent never makes it heard."""
    old = [heartbeat(at_ms=at_ms) for at_ms in (1_000, 3_000)]
    for number, body in enumerate(old):
        registry.heard(gate.open("n0", body, 2_000 * number), 2_000 * number)
    registry.sweep(12_000)

    assert [gate.open("n0", body, 12_001) for body in old] == [None, None]
    assert registry.state_of("n0") == "dead"


def test_a_stranger_is_to_enrol(gate):
    """A name that nobody owns is answered without looking at the message."""
    assert gate.open("ghost", b"whatever", 0) is None


def test_telemetry_travels_alone(gate):
    """Two members in one message, none, or too many bytes are malformed."""
    line = encode(telemetry("n0"))
    for body in (OWNER.seal(TELEMETRY, [line, line]), OWNER.seal(TELEMETRY, []), b"x" * 1_000_000):
        with pytest.raises(Malformed):
            gate.open("n0", body, 0)


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 400))
def test_whatever_arrives_is_refused_in_words(noise, spliced, at):
    """Any bytes raise `BadSignature` or `Malformed` and nothing else, unless they still say what was signed."""
    registry = Registry()
    registry.enrol("n0", OWNER.key, capabilities(), 0)
    body = heartbeat()
    broken = body[:at] + noise + body[at + 1 :] if spliced else noise
    try:
        said = TelemetryGate(registry.key).open("n0", broken, 0)
    except (BadSignature, Malformed):
        return
    assert broken.split(b"\n")[1] == body.split(b"\n")[1]
    assert said == telemetry("n0", at_ms=1_000)
