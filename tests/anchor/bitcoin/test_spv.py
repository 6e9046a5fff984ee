"""Proofs that a stranger checks: what holds is accepted, and each broken link is named."""

import secrets
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import pytest
from bitcoin.core import CBlockHeader, CTransaction
from hypothesis import given, settings
from hypothesis import strategies as st
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import BytesDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from anchor.receipt import merkle
from anchor.receipt.bitcoin import blocktree, ots, spv
from anchor.receipt.bitcoin.encoding import double_sha256
from anchor.receipt.bitcoin.header import Header, check_work, target_of, work_of
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxIn, TxOut
from anchor.receipt.commitment import commitment, join, op_return, payload
from anchor.receipt.errors import LinkBroken, Malformed
from bus import merkle as tree

REGTEST_BITS = 0x207F_FFFF
GENESIS = Header.parse(
    bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
        "4b1e5e4a29ab5f49ffff001d1dac2b7c"
    )
)


def coinbase(height: int, extra: bytes = b"") -> Transaction:
    """As a miner makes it, with the height first in its script (BIP 34)."""
    said = height.to_bytes(3, "little")
    script = bytes((len(said),)) + said + extra
    return Transaction(
        (TxIn(Outpoint(bytes(32), 0xFFFF_FFFF), script),), (TxOut(5_000_000_000, b"\x51" * 22),)
    )


def publishing(committed: bytes) -> Transaction:
    """A transaction that publishes a commitment."""
    return Transaction(
        (TxIn(Outpoint(secrets.token_bytes(32), 1)),),
        (TxOut(0, op_return(committed)), TxOut(1000, b"\x00" * 22)),
    )


def mined(previous: bytes, root: bytes) -> Header:
    """A header of the regression test network, with the work done."""
    header = Header(0x2000_0000, previous, root, 1_700_000_000, REGTEST_BITS, 0)
    while int.from_bytes(header.hash, "little") > target_of(REGTEST_BITS):
        header = replace(header, nonce=header.nonce + 1)
    return header


def proof_of(committed: bytes, others: int = 4, at: int = 2, successors: int = 6) -> spv.SpvProof:
    """A proof for a transaction at place `at` of a block."""
    transactions = [coinbase(1000), *(publishing(secrets.token_bytes(32)) for _ in range(others))]
    transactions[at] = publishing(committed)
    headers = [mined(bytes(32), blocktree.root([tx.txid for tx in transactions]))]
    for _ in range(successors):
        headers.append(mined(headers[-1].hash, secrets.token_bytes(32)))
    return spv.make(transactions, transactions[at].txid, headers)


COMMITTED = sha256(b"a root").digest()
PROOF = proof_of(COMMITTED)


def test_a_proof_says_what_is_published_where_and_under_how_much_work() -> None:
    """Also after it was written into a receipt and read again."""
    proof = spv.SpvProof.decode(PROOF.encode())

    found = spv.check(proof, "regtest")

    assert proof == PROOF
    assert found.committed == COMMITTED
    assert (found.height, found.successors, found.block) == (1000, 6, PROOF.headers[0].hash)
    assert found.work == 7 * work_of(REGTEST_BITS) == 14


@given(st.integers(1, 40), st.data())
@settings(max_examples=30)
def test_every_place_of_every_block_has_its_proof(others: int, data: st.DataObject) -> None:
    """Whatever the shape of the block's tree."""
    at = data.draw(st.integers(1, others))

    assert spv.check(proof_of(COMMITTED, others, at), "regtest").committed == COMMITTED


def test_every_single_bit_counts() -> None:
    """A proof with any one bit changed is not accepted, in whatever part it is."""
    raw = PROOF.encode()
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Malformed, LinkBroken)):
            spv.check(spv.SpvProof.decode(bytes(changed)), "regtest")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader_in_any_other_way(data: bytes) -> None:
    """Whatever it is, it is refused as malformed."""
    with pytest.raises(Malformed):
        spv.SpvProof.decode(b"\x01\x02" + data)


def rooted(proof: spv.SpvProof, root: bytes) -> spv.SpvProof:
    """The proof under a new chain that commits to `root`."""
    headers = [mined(bytes(32), root)]
    for _ in range(6):
        headers.append(mined(headers[-1].hash, bytes(32)))
    return replace(proof, headers=tuple(headers))


@pytest.mark.parametrize(
    ("broken", "link"),
    [
        (replace(PROOF, headers=PROOF.headers[:6]), "headers: 6 blocks must follow, 5 do"),
        (replace(PROOF, headers=(*PROOF.headers[:3], *PROOF.headers[4:], PROOF.headers[3])), "headers: header 3"),
        (replace(PROOF, tx=publishing(COMMITTED).stripped()), "Merkle branch: it does not lead"),
        (replace(PROOF, index=PROOF.index ^ 1), "Merkle branch: it does not lead"),
        (replace(PROOF, branch=PROOF.branch[:-1]), "coinbase branch: it has another depth"),
        (replace(PROOF, coinbase=coinbase(999).stripped()), "coinbase branch: it does not lead"),
    ],
)  # fmt: skip
def test_each_broken_link_is_named(broken: spv.SpvProof, link: str) -> None:
    """What does not hold is said in words."""
    with pytest.raises(LinkBroken, match=link):
        spv.check(broken, "regtest")


def test_work_is_asked_for() -> None:
    """A header over its target, and one whose target is too easy for the network, prove nothing."""
    lazy = PROOF.headers[-1]
    while int.from_bytes(lazy.hash, "little") <= target_of(REGTEST_BITS):
        lazy = replace(lazy, nonce=lazy.nonce + 1)

    with pytest.raises(LinkBroken, match="not under its target"):
        spv.check(replace(PROOF, headers=(*PROOF.headers[:-1], lazy)), "regtest")
    with pytest.raises(LinkBroken, match="too easy for main"):
        spv.check(PROOF, "main")
    with pytest.raises(LinkBroken, match="'moon' is none of main"):
        spv.check(PROOF, "moon")


def test_a_node_of_the_tree_is_not_passed_off_as_a_transaction() -> None:
    """CVE-2017-12842: 64 bytes that are two hashes, one level up."""
    others = [secrets.token_bytes(32) for _ in range(3)]
    node = others[1] + others[2]
    root = blocktree.root([double_sha256(coinbase(7).stripped()), *others])
    shorter = [double_sha256(coinbase(7).stripped() + b""), others[0]]
    forged = spv.SpvProof(
        tx=node,
        index=1,
        branch=(double_sha256(shorter[0] + shorter[1]),),
        coinbase=coinbase(7).stripped(),
        coinbase_branch=(others[0], double_sha256(node)),
        headers=(),
    )

    assert blocktree.root_by_branch(double_sha256(node), 1, forged.branch) == root
    with pytest.raises(LinkBroken, match="another depth"):
        spv.check(rooted(forged, root), "regtest")


def test_a_transaction_of_64_bytes_is_refused() -> None:
    """The other side of the same trick: a transaction that is also a node."""
    tx = Transaction((TxIn(Outpoint(bytes(32), 1)),), (TxOut(0, b"\x6a\x02AV"),))
    assert len(tx.stripped()) == 64
    txids = [coinbase(7).txid, tx.txid]
    forged = spv.SpvProof(tx.stripped(), 1, (txids[0],), coinbase(7).stripped(), (txids[1],), headers=())

    with pytest.raises(LinkBroken, match="64 bytes"):
        spv.check(rooted(forged, blocktree.root(txids)), "regtest")


def test_the_first_transaction_must_be_a_coinbase_that_says_its_height() -> None:
    """Else the depth of its branch proves nothing."""
    for first, why in (
        (publishing(bytes(32)), "spends nothing"),
        (Transaction((TxIn(Outpoint(bytes(32), 0xFFFF_FFFF), b"\x00\x00"),), (TxOut(1, b""),)), "height"),
        (Transaction((TxIn(Outpoint(bytes(32), 0xFFFF_FFFF), b"\x01\x81"),), (TxOut(1, b""),)), "negative"),
    ):
        transactions = [first, publishing(COMMITTED)]
        forged = spv.make(transactions, transactions[1].txid, [])
        with pytest.raises(LinkBroken, match=why):
            spv.check(rooted(forged, blocktree.root([tx.txid for tx in transactions])), "regtest")


def test_a_transaction_publishes_one_commitment() -> None:
    """With none, or with two, it is not clear what was published."""
    one = publishing(COMMITTED)
    for outputs in (one.outputs[1:], (*one.outputs, one.outputs[0])):
        with pytest.raises(LinkBroken, match="one output that publishes"):
            spv.committed_by(replace(one, outputs=outputs))


def test_the_last_of_an_odd_level_stands_on_the_left_of_itself_only() -> None:
    """CVE-2012-2459: else one transaction would have two places."""
    txids = [secrets.token_bytes(32) for _ in range(3)]
    siblings = blocktree.branch(txids, 2)

    assert blocktree.root_by_branch(txids[2], 2, siblings) == blocktree.root(txids)
    assert blocktree.root_by_branch(txids[2], 3, siblings) is None
    assert blocktree.is_ambiguous([*txids, txids[2]])
    assert not blocktree.is_ambiguous(txids)


def test_the_first_block_of_bitcoin_is_what_it_is() -> None:
    """Its hash, work and tree are known to everybody."""
    assert GENESIS.hash[::-1].hex() == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert work_of(GENESIS.bits) == 0x1_0001_0001
    assert CBlockHeader.deserialize(GENESIS.encode()).GetHash() == GENESIS.hash
    with pytest.raises(LinkBroken, match="too easy"):
        check_work(GENESIS, "main")


@pytest.mark.parametrize("bits", [0, 0x0180_0000, 0x2300_0001, 0xFF7F_FFFF, 0x2001_0000 | 0x80_0000])
def test_a_target_that_is_none_is_refused(bits: int) -> None:
    """Zero, negative, or longer than a hash."""
    with pytest.raises(Malformed, match="is no target"):
        target_of(bits)


def stamped(leaves: int, index: int, logs: int) -> tuple[bytes, bytes, spv.SpvProof]:
    """A leaf of a log, its `.ots` file, and the proof of the transaction that `logs` logs share."""
    hashed = [bytes(f"verdict {number}", "ascii") for number in range(leaves)]
    root = tree.root(hashed)
    committed, steps = join(
        [commitment("example.com/log", leaves, root), *(secrets.token_bytes(32) for _ in range(logs - 1))]
    )
    proof = proof_of(committed)
    ops = [
        *ots.log_ops(index, leaves, tree.path(hashed, index)),
        *ots.commitment_ops("example.com/log", leaves, steps[0]),
        *ots.bitcoin_ops(proof, payload(committed)),
    ]
    return hashed[index], ots.write(merkle.leaf_hash(hashed[index]), ops, 1000), proof


@given(st.integers(1, 70), st.integers(1, 5), st.data())
@settings(max_examples=30)
def test_the_stock_library_follows_our_path_to_the_block(leaves: int, logs: int, data: st.DataObject) -> None:
    """Opentimestamps reads the file, computes the block's Merkle root, and writes the same bytes again."""
    leaf, raw, proof = stamped(leaves, data.draw(st.integers(0, leaves - 1)), logs)

    read = DetachedTimestampFile.deserialize(BytesDeserializationContext(raw))

    assert read.file_hash_op.hash_fd(BytesIO(b"\x00" + leaf)) == read.file_digest
    [(message, attestation)] = read.timestamp.all_attestations()
    assert isinstance(attestation, BitcoinBlockHeaderAttestation)
    assert attestation.height == 1000
    header = CBlockHeader.deserialize(proof.headers[0].encode())
    assert attestation.verify_against_blockheader(message, header) == header.nTime
    ours = ots.follow(raw)
    assert (ours.result, ours.height, ours.leaf_hash) == (
        proof.headers[0].merkle_root,
        1000,
        read.file_digest,
    )


def test_a_changed_bit_of_a_path_leads_elsewhere() -> None:
    """Or nowhere: no bit of the file may change without notice."""
    _, raw, _ = stamped(9, 4, 2)
    right = ots.follow(raw)
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert ots.follow(bytes(changed)) != right
        except Malformed:
            continue


@given(st.binary(max_size=200))
def test_no_path_breaks_the_reader_in_any_other_way(data: bytes) -> None:
    """What follows a good beginning may be anything."""
    try:
        read = ots.follow(stamped_head() + data)
    except Malformed:
        return
    assert ots.write(read.leaf_hash, read.ops, read.height) == stamped_head() + data


def stamped_head() -> bytes:
    """The beginning of every file: magic, version, hash."""
    return ots.write(bytes(32), [], 0)[:-11]


def test_a_payload_that_is_in_the_transaction_twice_has_no_path() -> None:
    """The path must say which of them is meant."""
    tx = publishing(COMMITTED)
    twice = replace(PROOF, tx=replace(tx, outputs=(*tx.outputs, tx.outputs[0])).stripped())

    with pytest.raises(Malformed, match="twice"):
        ots.bitcoin_ops(twice, payload(COMMITTED))
    assert CTransaction.deserialize(PROOF.tx).GetTxid() == double_sha256(PROOF.tx)
