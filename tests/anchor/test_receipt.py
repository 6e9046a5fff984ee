"""A receipt is accepted where every link holds; whichever is broken is named, and no byte can be changed unnoticed."""

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from anchor.receipt.bitcoin.header import Header, target_of
from anchor.receipt.bitcoin.spv import SpvProof
from anchor.receipt.check import Demands, check
from anchor.receipt.commitment import Step, commitment
from anchor.receipt.container import MAX_RECEIPT_BYTES, Receipt, read_receipt, write_receipt
from anchor.receipt.dictionary import DICTIONARY
from anchor.receipt.errors import LinkBroken, Malformed, ReceiptError
from bus.signing import RESULTS, VERDICTS, Identity
from bus.wire import encode
from tests.anchor import receipts
from tests.anchor.receipts import made


def packed(content: bytes) -> bytes:
    """A file with this content, under a check sum that holds."""
    deflate = zlib.compressobj(9, zdict=DICTIONARY)
    body = deflate.compress(content) + deflate.flush()
    return b"ambient-receipt@v1\n" + sha256(body).digest()[:8] + body


def content(data: bytes) -> bytes:
    return zlib.decompressobj(zdict=DICTIONARY).decompress(data[27:])


def flip(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("witnessed", [True, False])
@pytest.mark.parametrize("with_evidence", [True, False])
def test_a_receipt_is_read_back_and_holds(*, final: bool, witnessed: bool, with_evidence: bool) -> None:
    """With and without block, witness and evidence; what is missing is said."""
    receipt = made(final=final, witnessed=witnessed, with_evidence=with_evidence)
    data = write_receipt(receipt)
    report = check(data)

    assert read_receipt(data) == receipt
    assert (report.verdict.task, report.signer) == ("me.t1", receipts.VERIFIER.key)
    assert (report.confirmed is not None) == final
    assert report.witnessed == ({receipts.WITNESS_NAME: receipts.WITNESSED_S} if witnessed else {})
    assert report.nodes == ({name: key.key for name, key in receipts.NODES.items()} if with_evidence else {})
    assert any("no Bitcoin block is shown" in each for each in report.unproven) != final
    assert any("no witness" in each for each in report.unproven)
    assert any("What 3 of 3 counted nodes answered" in each for each in report.unproven) != with_evidence


def test_what_was_proven_is_said_in_words() -> None:
    """Who signed, under which policy, since when at the latest, confirmed by how much work."""
    said = " ".join(check(write_receipt(made())).proven)

    assert (
        f"signed by key {receipts.VERIFIER.key}, under the policy 'quorum' (2 of 3 nodes must agree)" in said
    )
    assert "it existed at 2023-11-14 22:13:20 UTC at the latest" in said
    assert "in block 300 of a private test chain (regtest)" in said
    assert "took about 2^3.8 hashes" in said
    assert "Witness witness.example saw that state at 2023-11-14 22:15:00 UTC" in said


def test_every_bit_of_a_receipt_counts() -> None:
    """Whichever single bit of the file is changed, the file is refused."""
    data = write_receipt(made())
    accepted = [bit for bit in range(8 * len(data)) if not refused(flip(data, bit))]

    assert accepted == []


def test_every_bit_counts_also_where_the_check_sum_was_made_to_fit() -> None:
    """A forger writes the check sum anew: then signatures, hashes and work refuse each bit of what the file says.

    On the test chain every second header has the work that it asks for, so the last header, on which nothing stands, is left out here.
    """
    receipt = made()
    whole = content(write_receipt(receipt))
    assert receipt.bitcoin is not None
    loose = whole.index(b"\nheader\n"), whole.index(b"evidence ")
    bits = [bit for bit in range(8 * len(whole)) if not loose[0] <= bit // 8 < loose[1]]
    chosen = random.Random(5).sample(bits, 500)  # noqa: S311 -- the same ones each time

    assert [bit for bit in chosen if not refused(packed(flip(whole, bit)))] == []


def refused(data: bytes) -> bool:
    try:
        check(data)
    except ReceiptError:
        return True
    return False


@pytest.mark.parametrize("cut", [0, 10, 20, 27, 28, 500, -1])
def test_a_receipt_that_was_cut_or_that_goes_on_is_no_receipt(cut: int) -> None:
    """At every length; and behind its end there is nothing."""
    data = write_receipt(made())
    for damaged in (data[:cut], data + b"\n", packed(content(data)[:cut]), packed(content(data) + b"x 1\ny")):
        with pytest.raises(Malformed):
            check(damaged)


def test_a_receipt_that_unfolds_without_end_is_refused_in_little_memory() -> None:
    """A compressed file says nothing about what it will need."""
    with pytest.raises(Malformed, match="unfolds to more than"):
        check(packed(bytes(MAX_RECEIPT_BYTES + 1)))


def test_sections_stand_in_one_order() -> None:
    """Two orders would be two files for one receipt."""
    data = content(write_receipt(made(final=False, with_evidence=False)))
    at = data.index(b"keys ")
    to = data.index(b"proof ")

    with pytest.raises(Malformed, match="must have the sections verdict, keys, proof"):
        check(packed(data[at:to] + data[:at] + data[to:]))


type Change = Callable[[Receipt], Receipt]


def spv(**changes: Any) -> Change:
    """Other parts of the proof that the transaction is in a block."""

    def change(receipt: Receipt) -> Receipt:
        bitcoin = receipt.bitcoin
        assert bitcoin is not None
        made = {name: value(bitcoin.proof) for name, value in changes.items()}
        return receipt._replace(bitcoin=bitcoin._replace(proof=replace(bitcoin.proof, **made)))

    return change


def published(*, more: int = 0, **changes: Any) -> Change:
    """Another block, around another commitment."""

    def change(receipt: Receipt) -> Receipt:
        checkpoint = receipt.proof.checkpoint
        size = checkpoint.size + more
        return receipt._replace(
            bitcoin=receipts.confirmed(commitment(checkpoint.origin, size, checkpoint.root), **changes)
        )

    return change


def with_bitcoin(**changes: Any) -> Change:
    def change(receipt: Receipt) -> Receipt:
        assert receipt.bitcoin is not None
        return receipt._replace(bitcoin=receipt.bitcoin._replace(**changes))

    return change


def lazy(proof: SpvProof) -> tuple[Header, ...]:
    """The block's header with another nonce, for which no work was done, and successors that do follow it."""
    header = proof.headers[0]
    while int.from_bytes(header.hash, "little") <= target_of(receipts.BITS):
        header = replace(header, nonce=header.nonce + 1)
    chain = [header]
    for _ in range(6):
        chain.append(receipts.mine(chain[-1].hash, bytes(32), 0))
    return tuple(chain)


def statement(identity: Identity, kind: str, line: bytes) -> Change:
    return lambda receipt: receipt._replace(verdict=receipts.shown(identity, kind, [line], 0))


def logged(line: bytes) -> Change:
    """A receipt whose every hash and signature holds, for another line."""
    return lambda _: made(line=line, final=False)


def evidence_of(*statements: Any) -> Change:
    return lambda receipt: receipt._replace(evidence=statements)


GOOD = receipts.evidence()
BROKEN: list[tuple[str, str, Change]] = [
    ("another verdict", "inclusion in the log", statement(receipts.VERIFIER, VERDICTS, encode(receipts.verdict(fuel=1)))),
    ("a result for a verdict", "verdict's signature", statement(receipts.VERIFIER, RESULTS, encode(receipts.verdict()))),
    ("no step to the signed root", "verdict's signature", lambda r: r._replace(verdict=r.verdict._replace(steps=()))),
    ("another log's key", "log's key", lambda r: r._replace(keys=(receipts.LOG_KEY._replace(name="x"), r.keys[1]))),
    ("a key without signature", "signature of z", lambda r: r._replace(keys=(*r.keys, receipts.WITNESS_KEY._replace(name="z")))),
    ("a signature without key", "checkpoint", lambda r: r._replace(keys=r.keys[:1])),
    ("a second log's key", "signature of home.example/verdicts", lambda r: r._replace(keys=(r.keys[0], r.keys[0]._replace(public=bytes(32))))),
    ("another leaf", "inclusion in the log", lambda r: r._replace(proof=r.proof._replace(leaf=3))),
    ("another output", "output", logged(encode(receipts.verdict(output=b"43")))),
    ("another state of the log", "commitment in the transaction", published(more=1)),
    ("another batch", "commitment in the transaction", with_bitcoin(batch=(Step(is_left=True, sibling=bytes(32)),))),
    ("another place in the block", "Merkle branch", spv(index=lambda proof: proof.index ^ 2)),
    ("a branch at another depth", "coinbase branch", spv(branch=lambda proof: proof.branch[:1])),
    ("another coinbase", "coinbase branch", spv(coinbase=lambda proof: proof.tx)),
    ("too few confirmations", "headers", published(successors=5)),
    ("a header without work", "proof of work", spv(headers=lazy)),
    ("a chain that is easier than its network", "proof of work", with_bitcoin(network="main")),
    ("evidence of another task", "evidence of node node-1", evidence_of(receipts.evidence("me.t2")[0])),
    ("evidence of a stranger", "evidence of node node-9", evidence_of(receipts.shown(receipts.LOG, RESULTS, [encode(receipts.result("node-9"))], 0))),
    ("evidence twice", "evidence of node node-1", evidence_of(GOOD[0], GOOD[0])),
    ("agreement counted as dissent", "evidence of node node-3", evidence_of(receipts.shown(receipts.LOG, RESULTS, [encode(receipts.result("node-3"))], 0))),
    ("dissent counted as agreement", "evidence of node node-1", evidence_of(receipts.shown(receipts.LOG, RESULTS, [encode(receipts.result("node-1", output=b"43"))], 0))),
    ("evidence that nobody signed", "evidence of node node-1", evidence_of(GOOD[0]._replace(envelope=GOOD[1].envelope))),
]  # fmt: skip


@pytest.mark.parametrize(("link", "change"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_broken_link_is_named(link: str, change: Change) -> None:
    """Whichever part is exchanged for one that is well-formed, the error says which link it broke."""
    with pytest.raises(LinkBroken) as broken:
        check(write_receipt(change(made())))

    assert broken.value.link == link


DEMANDS: list[tuple[str, Demands]] = [
    ("task", Demands(task="me.t2")),
    ("verdict's signer", Demands(verifiers={receipts.LOG.key})),
    ("log's key", Demands(logs={receipts.WITNESS_KEY})),
    ("witnesses", Demands(witnesses={receipts.WITNESS_KEY}, quorum=2)),
    ("witnesses", Demands(quorum=1)),
    ("headers", Demands(headers={bytes(32)})),
    ("network", Demands(network="main")),
    ("work", Demands(work=2**70)),
]


@pytest.mark.parametrize(("link", "demands"), DEMANDS)
def test_what_the_reader_demands_must_hold_too(link: str, demands: Demands) -> None:
    """Trust is the reader's to give."""
    with pytest.raises(LinkBroken) as broken:
        check(write_receipt(made()), demands)

    assert broken.value.link == link


def test_demands_that_are_met_leave_nothing_unsaid() -> None:
    """Keys that the reader named, and blocks in the chain that it follows, are no longer open questions."""
    receipt = made()
    assert receipt.bitcoin is not None
    blocks = {header.hash for header in receipt.bitcoin.proof.headers}
    demands = Demands(
        task="me.t1",
        verifiers={receipts.VERIFIER.key},
        logs={receipts.LOG_KEY},
        witnesses={receipts.WITNESS_KEY},
        quorum=1,
        headers=blocks,
        network="regtest",
        work=14,
        final=True,
        evidence=True,
    )

    assert check(write_receipt(receipt), demands).unproven == [
        "That each of these keys is its node's: for that stands the verifier.",
        "That the answer is right, beyond that these nodes agree.",
    ]


@pytest.mark.parametrize("demands", [Demands(final=True), Demands(headers={bytes(32)}), Demands(work=1)])
def test_a_receipt_without_a_block_is_not_final(demands: Demands) -> None:
    """Whoever asks for a block gets none of the rest instead."""
    with pytest.raises(LinkBroken, match="no Bitcoin block is shown"):
        check(write_receipt(made(final=False)), demands)


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("verdict", b'{"kind":"verdict","task":"a.b","task":"a.c"}'),
        ("verdict", b"[1]"),
        ("verdict", b"\xff"),
        ("verdict", b"[" * 100_000),
        ("verdict", '{"kind":"verdict","task":"a.b","status":"failed"}'.encode("utf-16")),
        ("verdict", b'\xef\xbb\xbf{"kind":"verdict","task":"a.b","status":"failed"}'),
        ("verdict", b'{"kind":"verdict","task":"a.b","status":"failed","fuel":NaN}'),
        ("verdict.kind", b'{"kind":"late"}'),
        ("verdict.status", b'{"kind":"verdict","task":"a.b","status":"won"}'),
        ("verdict.task", b'{"kind":"verdict","task":1,"status":"failed"}'),
        ("verdict.agree", b'{"kind":"verdict","task":"a.b","status":"failed","agree":["n","n"]}'),
        ("verdict.verify", b'{"kind":"verdict","task":"a.b","status":"failed","verify":1}'),
        ("verdict.output", b'{"kind":"verdict","task":"a.b","status":"verified","output":"?"}'),
    ],
)
def test_a_verdict_that_cannot_be_read_names_its_field(field: str, line: bytes) -> None:
    """Though it was signed, logged and all."""
    with pytest.raises(Malformed) as malformed:
        check(write_receipt(logged(line)(made())))

    assert malformed.value.field == field


def test_a_receipt_for_a_million_entries_has_two_kilobytes() -> None:
    """Without evidence: a path of twenty hashes, and blocks of two transactions as on the embedded chain."""
    receipt = made(with_evidence=False, witnessed=False)
    noise = random.Random(1)  # noqa: S311 -- as incompressible as hashes are
    digests = {name: noise.randbytes(32).hex() for name in ("spec", "module", "input", "trace")}
    checkpoint = receipt.proof.checkpoint
    sized = receipt._replace(
        verdict=receipts.shown(receipts.VERIFIER, VERDICTS, [encode(receipts.verdict(**digests))], 0),
        proof=receipt.proof._replace(path=tuple(noise.randbytes(32) for _ in range(20))),
        bitcoin=receipts.confirmed(commitment(checkpoint.origin, checkpoint.size, checkpoint.root), others=0),
    )

    assert len(write_receipt(sized._replace(bitcoin=None))) <= 1400
    assert len(write_receipt(sized)) <= 2048
