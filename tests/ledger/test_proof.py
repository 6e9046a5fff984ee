"""Proofs of the ledger, as a stranger checks them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages import Credit, Verdict
from bus.reader import Entry
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from ledger import proof
from ledger.book import Ledger, Sealed
from ledger.documents import balance_proof, energy_proof
from ledger.orders import sign
from ledger.proof import ProofBroken, check, spelt

WHO = Identity.from_seed(bytes(32))


def sealed(nodes: int) -> Sealed:
    """A durable state with one client and so many nodes, of which each earned another amount."""
    ledger = Ledger()
    order = Credit(cluster="home", id="a", account="client/ada", amount=10**6)
    ledger.fold_anchors(Entry(1, 0, "a", encode(sign(order, WHO))))
    verdicts = [
        Verdict(
            task="ada.t", status="verified", agree=(f"n{n}",), reward=n + 1, energy_j=n / 8,
            energy_method="measured:rapl", source=(1, n),
        )
        for n in range(nodes)
    ]  # fmt: skip
    ledger.fold_verdicts(Entry(1, 1_783_000_000_000, "v", WHO.seal(VERDICTS, [encode(v) for v in verdicts])))
    ledger.fold_anchors(Entry(2, 0, "a", ledger.seal().line))
    assert ledger.newest is not None
    return ledger.newest


STATE = sealed(20)


def _changed(document: bytes) -> Iterator[bytes]:
    """The document with each single bit of it turned."""
    for bit in range(len(document) * 8):
        changed = bytearray(document)
        changed[bit >> 3] ^= 1 << (bit & 7)
        yield bytes(changed)


@pytest.mark.parametrize(
    "document",
    [
        balance_proof(STATE, "node/n7"),
        balance_proof(STATE, "client/ada"),
        energy_proof(STATE, "node/n3", "2026-07"),
    ],
    ids=["node", "client", "energy"],
)
def test_no_bit_of_a_proof_can_be_changed(document: bytes) -> None:
    """Each single one, in turn, is refused."""
    check(document, committed=STATE.commitment)
    for changed in _changed(document):
        with pytest.raises(ProofBroken):
            check(changed, committed=STATE.commitment)


@pytest.mark.parametrize(
    "document",
    [balance_proof(STATE, "node/nobody"), energy_proof(STATE, "node/n3", "2026-08")],
    ids=["account", "energy"],
)
def test_a_proof_that_nothing_is_there_shows_no_more_than_that(document: bytes) -> None:
    """With a bit of the name turned it may show that another one is not there either, which is true; any other bit breaks it."""
    shown = check(document, committed=STATE.commitment)
    for changed in _changed(document):
        try:
            other = check(changed, committed=STATE.commitment)
        except ProofBroken:
            continue
        assert other.leaf is None
        assert other.name != shown.name
        assert (STATE.accounts if shown.tree == "accounts" else STATE.energy).path(other.name).text is None


def test_a_proof_says_what_it_shows() -> None:
    """Presence with the leaf, absence without, both under the state's commitment."""
    there = check(balance_proof(STATE, "node/n7"))
    assert there.leaf == {"account": "node/n7", "received": 8, "given": 0}
    assert there.commitment == STATE.commitment
    assert there.state["credited"] == 10**6

    gone = check(balance_proof(STATE, "node/nobody"))
    assert (gone.tree, gone.name, gone.leaf) == ("accounts", "node/nobody", None)

    month = check(energy_proof(STATE, "node/n3", "2026-07"))
    assert month.leaf is not None
    assert month.leaf["energy_uj"] == {"measured:rapl": 375_000}


def test_a_ledger_without_accounts_proves_that_there_are_none() -> None:
    """Also the empty tree has a root, and a path of no length."""
    ledger = Ledger()
    ledger.fold_anchors(Entry(1, 0, "a", ledger.seal().line))
    assert ledger.newest is not None

    assert check(balance_proof(ledger.newest, "client/ada")).leaf is None


def _with(document: bytes, **fields: object) -> bytes:
    said = json.loads(document)
    return spelt({key: value for key, value in {**said, **fields}.items() if value is not None})


PRESENT, ABSENT = balance_proof(STATE, "node/n7"), balance_proof(STATE, "node/nobody")
OTHER = json.loads(balance_proof(STATE, "node/n8"))


@pytest.mark.parametrize(
    ("link", "document"),
    [
        ("format", b"\xff\xfe"),
        ("format", b"[]\n"),
        ("format", b"[" * 70_000),
        ("format", b'{"format":1,"format":1}'),
        ("format", _with(PRESENT, format="ambient-balance/2")),
        ("format", _with(PRESENT, note="hello")),
        ("format", PRESENT.replace(b"\n", b"")),
        ("name", _with(PRESENT, name=None)),
        ("name", _with(PRESENT, name="n\u00f6de")),
        ("leaf", _with(PRESENT, name="node/n8")),
        ("leaf", _with(PRESENT, leaf="{}")),
        ("leaf", _with(PRESENT, leaf="nonsense")),
        ("root", _with(PRESENT, leaf=OTHER["leaf"], name="node/n8")),
        ("root", _with(PRESENT, leaf=json.loads(PRESENT)["leaf"].replace(":8", ":9"))),
        ("root", _with(PRESENT, leaf=None)),
        ("path", _with(PRESENT, path="????")),
        ("path", _with(PRESENT, path="//8=")),
        ("path", _with(PRESENT, path=json.loads(PRESENT)["path"][:-4])),
        ("state", _with(PRESENT, state="{}")),
        ("neighbour", _with(PRESENT, neighbour=json.loads(ABSENT)["neighbour"])),
        ("neighbour", _with(ABSENT, neighbour={"key": "00", "text_digest": "00"})),
        ("neighbour", _with(ABSENT, neighbour=7)),
        ("neighbour", _with(ABSENT, neighbour={"key": "f" * 64, "text_digest": "F" * 64})),
        ("neighbour", _with(ABSENT, neighbour={"key": proof.key_of("node/nobody").hex(), "text_digest": "f" * 64})),
        ("neighbour", _with(ABSENT, neighbour={"key": f"{~int.from_bytes(proof.key_of('node/nobody')) & (2**256 - 1):064x}", "text_digest": "f" * 64})),
    ],
)  # fmt: skip
def test_the_broken_link_is_named(link: str, document: bytes) -> None:
    """Whoever has a bad proof is told which part of it is bad."""
    with pytest.raises(ProofBroken) as raised:
        check(document)
    assert raised.value.link == link


def test_a_proof_of_another_state_is_refused() -> None:
    """It may hold in itself; it is not what was committed to."""
    with pytest.raises(ProofBroken, match="not the one that was committed"):
        check(balance_proof(sealed(3), "node/n1"), committed=STATE.commitment)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_with_a_broken_link(data: bytes) -> None:
    """Nothing else is raised, whatever is given."""
    with pytest.raises(ProofBroken):
        check(data)


def test_it_needs_the_one_file_and_python(tmp_path: Path) -> None:
    """Copied away and run isolated, where nothing of ours is installed, it checks a proof."""
    (tmp_path / "proof.py").write_bytes(Path(proof.__file__).read_bytes())
    (tmp_path / "shown.json").write_bytes(PRESENT)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import proof; "
        f"print(proof.check(open({str(tmp_path / 'shown.json')!r}, 'rb').read()).leaf['received'])"
    )
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, timeout=60
    )

    assert told.stdout.strip() == b"8"
