"""Fault switches: off by default, named where everybody sees it, and real misbehaviour when on."""

from pathlib import Path

import pytest

from bus.wire import sha256_hex
from sandbox.job import Outcome
from workers.errors import BadSettings
from workers.faults import Fault, lied
from workers.settings import NodeSettings, Resolved

KEY = "ab12" * 16


def test_by_default_no_switch_is_on() -> None:
    """A node that was not told to misbehave does not, and has no such label."""
    resolved = Resolved.of(NodeSettings(data=Path("x")), KEY)

    assert not resolved.fault
    assert resolved.capabilities.labels == {}


@pytest.mark.parametrize(
    ("text", "label"),
    [("lie", "lie"), ("silent", "silent"), ("slow:250", "slow-250"), ("crash:3", "crash-3")],
)
def test_a_switch_is_a_label_of_the_node(text: str, label: str) -> None:
    """Whoever lists the nodes sees which of them misbehaves on purpose."""
    resolved = Resolved.of(NodeSettings(data=Path("x"), fault=text, labels={"gpu": "yes"}), KEY)

    assert str(resolved.fault) == text
    assert resolved.capabilities.labels == {"gpu": "yes", "fault": label}


@pytest.mark.parametrize(
    "text", ["lies", "lie:3", "slow", "slow:", "slow:-1", "slow:x", "crash:0", "crash:²", ":"]
)
def test_an_unknown_switch_is_refused_with_the_known_ones(text: str) -> None:
    """A typo does not silently make an honest node."""
    with pytest.raises(BadSettings, match="lie, silent, slow:<ms>, crash:<n>"):
        Fault.parse(text)


def test_a_lie_is_consistent_and_two_liars_agree() -> None:
    """Other bytes, another trace, and the same for everybody who lies about the same outcome."""
    honest = Outcome(status="ok", output=b"42", trace=sha256_hex(b"t"), fuel=7)
    lie = lied(honest)

    assert lie.status == "ok"
    assert lie.output != honest.output
    assert len(lie.output) == len(honest.output)
    assert len(lie.trace) == 64
    assert lie.trace != honest.trace
    assert lied(honest) == lie


def test_a_failure_is_lied_into_a_success() -> None:
    """Also where the guest said nothing."""
    lie = lied(Outcome(status="failed", reason="trap", exit_code=1, trace=sha256_hex(b"t")))

    assert (lie.status, lie.reason, lie.exit_code, lie.output) == ("ok", "", 0, b"lie")
