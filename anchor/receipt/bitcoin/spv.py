"""The proof that a transaction is in a block with so much work on it, and its check: all that a stranger needs of Bitcoin.

A proof holds the transaction without its witnesses, its Merkle branch, the block's coinbase transaction and its branch, and the headers of the
block and of its successors. `check` guarantees, for a proof that it accepts: the headers are a chain, each with its proof of work; the
transaction is in the block of the first; at least `SUCCESSORS` blocks follow it.

Why the coinbase is there: the tree does not tell nodes from leaves, so the 64 bytes of an inner node could be passed off as a transaction, or a
transaction of 64 bytes as a node (CVE-2017-12842). The coinbase is at the far left of every tree; its branch has the true depth, so a branch of
another depth is refused, and so is any transaction of 64 bytes. The coinbase also says the block's height (BIP 34).

Left to others: whether these headers are the chain with the most work. Who has the headers of the chain looks the block up by its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from anchor.receipt.bitcoin import blocktree
from anchor.receipt.bitcoin.encoding import HASH_BYTES, Reader, compact, double_sha256
from anchor.receipt.bitcoin.header import HEADER_BYTES, Header, check_chain
from anchor.receipt.bitcoin.transaction import Transaction, parse_transaction
from anchor.receipt.commitment import PAYLOAD_BYTES, op_return
from anchor.receipt.errors import LinkBroken, Malformed

__all__ = [
    "MAX_DEPTH",
    "MAX_PROOF_BYTES",
    "MAX_SUCCESSORS",
    "SUCCESSORS",
    "Confirmation",
    "SpvProof",
    "check",
    "committed_by",
    "make",
]

SUCCESSORS = 6
"""Blocks on top of a transaction's own before it counts as final."""
MAX_DEPTH = 16
"""A block of 4,000,000 weight units holds fewer than 2^16 transactions, as each weighs 240 at least (60 bytes, no witness)."""
MAX_SUCCESSORS = 144
MAX_PROOF_BYTES = 120_000
"""Transactions that relay weigh at most 400,000 units (Bitcoin Core's MAX_STANDARD_TX_WEIGHT), so without witnesses they have at most 100,000 bytes."""
_MAX_TX_BYTES = 100_000
_AMBIGUOUS_TX_BYTES = 64
_OUTPUT_BYTES = 2 + PAYLOAD_BYTES
_VERSION = 1
_CHECKSUM_BYTES = 4
_MAX_HEIGHT_BYTES = 4
_OP_1, _OP_16 = 0x51, 0x60


def _checksum(body: bytes) -> bytes:
    """What notices a damaged bit in the last header, where the work of a test network would notice one in two."""
    return sha256(body).digest()[:_CHECKSUM_BYTES]


@dataclass(frozen=True, slots=True)
class SpvProof:
    """`tx` and `coinbase` without witnesses; branches lowest sibling first; `headers` from the block itself on."""

    tx: bytes
    index: int
    branch: tuple[bytes, ...]
    coinbase: bytes
    coinbase_branch: tuple[bytes, ...]
    headers: tuple[Header, ...]

    def encode(self) -> bytes:
        """As bytes, for a receipt: version, depth, index, the two transactions, the two branches, the headers, a checksum."""
        depth = len(self.branch)
        body = b"".join(
            (
                bytes((_VERSION, depth)),
                self.index.to_bytes(4, "little"),
                compact(len(self.tx)) + self.tx,
                compact(len(self.coinbase)) + self.coinbase,
                *self.branch,
                *self.coinbase_branch,
                compact(len(self.headers)),
                *(header.encode() for header in self.headers),
            )
        )
        return body + _checksum(body)

    @classmethod
    def decode(cls, data: bytes) -> "SpvProof":
        """The proof that these bytes are; raises `Malformed`."""
        if len(data) > MAX_PROOF_BYTES + HEADER_BYTES * MAX_SUCCESSORS:
            raise Malformed("spv", f"a proof has at most {MAX_PROOF_BYTES} bytes, not {len(data)}")
        reader = Reader(data, "spv")
        if reader.number(1) != _VERSION:
            raise Malformed("spv.version", f"{_VERSION} is the only one")
        depth = reader.number(1)
        if depth > MAX_DEPTH:
            raise Malformed("spv.depth", f"a block's tree has at most {MAX_DEPTH} levels, not {depth}")
        proof = cls(
            index=reader.number(4),
            tx=reader.string(_MAX_TX_BYTES, "tx"),
            coinbase=reader.string(_MAX_TX_BYTES, "coinbase"),
            branch=tuple(reader.take(HASH_BYTES) for _ in range(depth)),
            coinbase_branch=tuple(reader.take(HASH_BYTES) for _ in range(depth)),
            headers=tuple(Header.read(reader) for _ in range(reader.compact(1 + MAX_SUCCESSORS, "headers"))),
        )
        body = reader.span(0)
        if reader.take(_CHECKSUM_BYTES) != _checksum(body):
            raise Malformed("spv.checksum", "it does not match: the proof was damaged")
        reader.finish()
        return proof


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a proof proves: `committed` is published by the block `block` (hashing order) at `height`, with `successors` on top.

    `time_s` is the block's own, `work` the hashes that all the headers took on average.
    """

    txid: bytes
    committed: bytes
    block: bytes
    height: int
    time_s: int
    successors: int
    work: int


def check(proof: SpvProof, network: str, *, successors: int = SUCCESSORS) -> Confirmation:
    """What the proof proves on `network` (`main`, `testnet4`, `signet` or `regtest`); raises `LinkBroken` with the link that fails, or `Malformed`."""
    if len(proof.headers) < 1 + successors:
        raise LinkBroken("headers", f"{successors} blocks must follow, {len(proof.headers) - 1} do")
    work = check_chain(proof.headers, network)
    block = proof.headers[0]
    if len(proof.branch) != len(proof.coinbase_branch):
        raise LinkBroken("coinbase branch", "it has another depth than the transaction's")
    for link, raw, index, siblings in (
        ("coinbase branch", proof.coinbase, 0, proof.coinbase_branch),
        ("Merkle branch", proof.tx, proof.index, proof.branch),
    ):
        if len(raw) == _AMBIGUOUS_TX_BYTES:
            raise LinkBroken(link, "64 bytes can be a node of the tree as well as a transaction")
        if blocktree.root_by_branch(double_sha256(raw), index, siblings) != block.merkle_root:
            raise LinkBroken(link, f"it does not lead to the root in block {block.hash[::-1].hex()}")
    coinbase = parse_transaction(proof.coinbase, "coinbase")
    if not coinbase.is_coinbase:
        raise LinkBroken("coinbase", "the first transaction of a block spends nothing, and this one does")
    return Confirmation(
        txid=double_sha256(proof.tx),
        committed=committed_by(parse_transaction(proof.tx)),
        block=block.hash,
        height=_height(coinbase),
        time_s=block.time_s,
        successors=len(proof.headers) - 1,
        work=work,
    )


def committed_by(tx: Transaction) -> bytes:
    """The 32 bytes that a transaction publishes; raises `LinkBroken` unless it has exactly one output of ours."""
    prefix = op_return(b"")
    found = [
        out.script for out in tx.outputs if out.script.startswith(prefix) and len(out.script) == _OUTPUT_BYTES
    ]
    if len(found) != 1:
        raise LinkBroken(
            "transaction", f"one output that publishes a commitment is asked for, it has {len(found)}"
        )
    return found[0][len(prefix) :]


def make(transactions: Sequence[Transaction], txid: bytes, headers: Sequence[Header]) -> SpvProof:
    """The proof that `txid` is among a block's `transactions`; `headers` from that block on. Raises `LinkBroken` where it is not."""
    txids = [tx.txid for tx in transactions]
    if txid not in txids:
        raise LinkBroken("transaction", f"{txid[::-1].hex()} is not in the block")
    index = txids.index(txid)
    return SpvProof(
        tx=transactions[index].stripped(),
        index=index,
        branch=tuple(blocktree.branch(txids, index)),
        coinbase=transactions[0].stripped(),
        coinbase_branch=tuple(blocktree.branch(txids, 0)),
        headers=tuple(headers),
    )


def _height(coinbase: Transaction) -> int:
    """The height that a coinbase's script begins with (BIP 34)."""
    script = coinbase.inputs[0].script
    if script and _OP_1 <= script[0] <= _OP_16:
        return script[0] - _OP_1 + 1
    length = script[0] if script else 0
    if not 0 < length <= _MAX_HEIGHT_BYTES or len(script) <= length:
        raise LinkBroken("coinbase", "its script does not begin with the block's height")
    height = int.from_bytes(script[1 : 1 + length], "little", signed=True)
    if height < 0:
        raise LinkBroken("coinbase", "the block's height is negative")
    return height
