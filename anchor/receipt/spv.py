"""A commitment's way into a Bitcoin block, checked as a light client does (SPV): transaction, tree, header, and the blocks on top.

Guarantees that the commitment is in an output of a transaction of the block whose header is shown, that the tree was not read at a wrong
depth (the coinbase and its branch show how deep it is: CVE-2017-12842), and how much work was done on top. Whether these headers are the
ones that everybody follows is left to whoever has headers to compare with (`Confirmed.blocks`).
"""

from typing import NamedTuple

from anchor.receipt.commitment import Step, op_return, walk
from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.text import base64_of, bytes_of, hash_of, lines_of, steps_of, text_of, write_steps
from anchor.receipt.transaction import HEADER_BYTES, Header, double_sha256, read_header, read_transaction

__all__ = ["SUCCESSORS", "BitcoinProof", "Confirmed", "check_bitcoin", "read_bitcoin", "write_bitcoin"]

SUCCESSORS = 6
"""Headers that must follow the block's own."""
_MOST_SUCCESSORS = 1000
_MOST_DEPTH = 24
_MOST_BATCH = 24
_SHORT_HEADER = HEADER_BYTES - 32
"""A successor is kept without the id of its predecessor, which is the header before it."""


class BitcoinProof(NamedTuple):
    """Everything from a commitment to work, as bytes in Bitcoin's own forms; transactions without witnesses.

    `batch` leads from the log's commitment to what the transaction carries (empty where that is the commitment itself), `branch` from the
    transaction to the root in `header`. The coinbase is the first transaction, so each hash of `coinbase_branch` stands to the right.
    `successors` are the headers behind `header`, in order, 80 bytes each.
    """

    batch: tuple[Step, ...]
    transaction: bytes
    branch: tuple[Step, ...]
    coinbase: bytes
    coinbase_branch: tuple[bytes, ...]
    header: bytes
    successors: tuple[bytes, ...]


class Confirmed(NamedTuple):
    """What was shown: in which block, when it was made by its miner's clock, and the work of that block and all on top, in hashes."""

    txid: str
    height: int
    time_s: int
    work: int
    blocks: tuple[bytes, ...]
    """Ids of the block and its successors, as hashed."""


def check_bitcoin(proof: BitcoinProof, committed: bytes) -> Confirmed:
    """What `proof` shows of the commitment. Raises `LinkBroken` where a link does not hold, `Malformed` where a part cannot be read."""
    transaction = read_transaction("bitcoin transaction", proof.transaction)
    wanted = op_return(walk(committed, proof.batch))
    if transaction.scripts.count(wanted) != 1:
        raise LinkBroken("commitment in the transaction", f"no output, or more than one, is {wanted.hex()}")
    header = read_header("bitcoin header", proof.header)
    coinbase = read_transaction("bitcoin coinbase", proof.coinbase)
    height = coinbase.height("bitcoin coinbase")
    if len(proof.branch) != len(proof.coinbase_branch):
        raise LinkBroken(
            "transaction in the block", "the tree of a block has one depth, its two branches have two"
        )
    steps = [Step(is_left=False, sibling=each) for each in proof.coinbase_branch]
    for link, found, path in (
        ("transaction in the block", transaction.txid, list(proof.branch)),
        ("coinbase in the block", coinbase.txid, steps),
    ):
        if _block_root(link, found, path) != header.root:
            raise LinkBroken(link, "its branch does not lead to the root in the block's header")
    headers = _linked(header, proof.successors)
    return Confirmed(
        txid=transaction.txid[::-1].hex(),
        height=height,
        time_s=header.time_s,
        work=sum(each.work for each in headers),
        blocks=tuple(each.block for each in headers),
    )


def _block_root(link: str, found: bytes, steps: list[Step]) -> bytes:
    for is_left, sibling in steps:
        if is_left and sibling == found:
            # A tree repeats the last hash of an odd level, to the right of itself and never to the left.
            raise LinkBroken(link, "a hash stands to the left of itself in the block's tree")
        found = double_sha256(sibling + found if is_left else found + sibling)
    return found


def _linked(header: Header, successors: tuple[bytes, ...]) -> list[Header]:
    """The block's header and those on top: each follows the one before it and has the work that it demands."""
    if len(successors) < SUCCESSORS:
        raise LinkBroken(
            "confirmations", f"{SUCCESSORS} headers must follow the block's own, these are {len(successors)}"
        )
    headers = [header]
    for at, data in enumerate(successors):
        headers.append(read_header(f"bitcoin successor {at + 1}", data))
        if headers[-1].previous != headers[-2].block:
            raise LinkBroken(f"successor {at + 1}", "it does not follow the header before it")
    for at, each in enumerate(headers):
        if not each.has_work:
            raise LinkBroken(
                f"successor {at}" if at else "block header",
                "its id is larger than its target: no work was done for it",
            )
    return headers


def read_bitcoin(data: bytes, field: str = "bitcoin") -> BitcoinProof:
    """The section of a receipt; raises `Malformed`. Nothing is verified."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in lines_of(field, text_of(field, data)):
        if line in _PARTS and line not in parts:
            parts[name := line] = []
        else:
            parts.setdefault(name, []).append(line)
    if tuple(parts) != _PARTS:
        raise Malformed(field, f"must have the parts {', '.join(_PARTS)}, in this order")
    one = {name: _one(f"{field} {name}", parts[name]) for name in ("transaction", "coinbase", "header")}
    return BitcoinProof(
        batch=_limited(f"{field} batch", steps_of(f"{field} batch", parts["batch"]), _MOST_BATCH),
        transaction=one["transaction"],
        branch=_limited(f"{field} branch", steps_of(f"{field} branch", parts["branch"]), _MOST_DEPTH),
        coinbase=one["coinbase"],
        coinbase_branch=tuple(hash_of(f"{field} coinbase-branch", each) for each in parts["coinbase-branch"]),
        header=one["header"],
        successors=_long_headers(f"{field} successors", one["header"], parts["successors"]),
    )


_PARTS = ("batch", "transaction", "branch", "coinbase", "coinbase-branch", "header", "successors")


def _one(field: str, lines: list[str]) -> bytes:
    if len(lines) != 1:
        raise Malformed(field, "must be one line of base64")
    return bytes_of(field, lines[0])


def _limited(field: str, steps: tuple[Step, ...], most: int) -> tuple[Step, ...]:
    if len(steps) > most:
        raise Malformed(field, f"has at most {most} steps, these are {len(steps)}")
    return steps


def _long_headers(field: str, header: bytes, lines: list[str]) -> tuple[bytes, ...]:
    """Headers with the id of their predecessor put back in."""
    if len(lines) > _MOST_SUCCESSORS:
        raise Malformed(field, f"are at most {_MOST_SUCCESSORS}, these are {len(lines)}")
    headers: list[bytes] = []
    for line in lines:
        short = bytes_of(field, line)
        if len(short) != _SHORT_HEADER:
            raise Malformed(
                field, f"must have {_SHORT_HEADER} bytes each: a header without its predecessor's id"
            )
        header = short[:4] + double_sha256(header) + short[4:]
        headers.append(header)
    return tuple(headers)


def write_bitcoin(proof: BitcoinProof) -> bytes:
    """Undo `read_bitcoin`."""
    texts = (
        write_steps(proof.batch),
        base64_of(proof.transaction) + "\n",
        write_steps(proof.branch),
        base64_of(proof.coinbase) + "\n",
        "".join(f"{base64_of(each)}\n" for each in proof.coinbase_branch),
        base64_of(proof.header) + "\n",
        "".join(f"{base64_of(each[:4] + each[36:])}\n" for each in proof.successors),
    )
    return "".join(f"{name}\n{text}" for name, text in zip(_PARTS, texts, strict=True)).encode()
