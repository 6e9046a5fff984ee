"""The part of a receipt about Bitcoin: how the log's commitment came into a block, and which blocks stand on top.

Guarantees that what is read is read in one way only. The check of transactions, trees and headers is `anchor.receipt.bitcoin.spv`'s; here it
is joined to the commitment. Whether these headers are the ones that everybody follows is left to whoever has headers to compare with.
"""

from typing import NamedTuple

from anchor.receipt.bitcoin.header import EASIEST_BITS, HEADER_BYTES, Header
from anchor.receipt.bitcoin.spv import MAX_DEPTH, MAX_SUCCESSORS, Confirmation, SpvProof, check
from anchor.receipt.commitment import Step, walk
from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.text import base64_of, bytes_of, hash_of, lines_of, steps_of, text_of, write_steps

__all__ = ["Published", "check_published", "read_published", "write_published"]

_MAX_BATCH = 16
"""Steps from one log's commitment to that of all logs in a transaction: 65,536 of them."""
_SHORT_BYTES = HEADER_BYTES - 32
"""A successor is kept without the id of its predecessor, which is that of the header before it."""
_PARTS = ("network", "batch", "transaction", "branch", "coinbase", "coinbase-branch", "header", "successors")


class Published(NamedTuple):
    """The network (`main`, `testnet4`, `signet` or `regtest`), the steps from the log's commitment to what the transaction carries, and its proof.

    There are no steps where the transaction carries this one commitment alone.
    """

    network: str
    batch: tuple[Step, ...]
    proof: SpvProof


def check_published(published: Published, committed: bytes) -> Confirmation:
    """What is shown of the commitment. Raises `LinkBroken` where a link does not hold, `Malformed` where a part cannot be read."""
    confirmation = check(published.proof, published.network)
    wanted = walk(committed, published.batch)
    if confirmation.committed != wanted:
        raise LinkBroken(
            "commitment in the transaction",
            f"it carries {confirmation.committed.hex()}, the checkpoint's commitment leads to {wanted.hex()}",
        )
    return confirmation


def read_published(data: bytes, field: str = "bitcoin") -> Published:
    """The section of a receipt; raises `Malformed`. Nothing is verified."""
    parts = _parts(field, data)
    one = {
        name: _one(f"{field} {name}", parts[name])
        for name in ("network", "transaction", "coinbase", "header")
    }
    if one["network"] not in EASIEST_BITS:
        raise Malformed(
            f"{field} network", f"must be one of {', '.join(EASIEST_BITS)}, not {one['network'][:40]!r}"
        )
    batch = steps_of(f"{field} batch", parts["batch"])
    branch = steps_of(f"{field} branch", parts["branch"])
    coinbase_branch = [hash_of(f"{field} coinbase-branch", each) for each in parts["coinbase-branch"]]
    for name, most, found in (
        ("batch", _MAX_BATCH, batch),
        ("branch", MAX_DEPTH, branch),
        ("coinbase-branch", MAX_DEPTH, coinbase_branch),
    ):
        if len(found) > most:
            raise Malformed(f"{field} {name}", f"has at most {most} steps, these are {len(found)}")
    proof = SpvProof(
        tx=bytes_of(f"{field} transaction", one["transaction"]),
        index=sum(1 << level for level, step in enumerate(branch) if step.is_left),
        branch=tuple(step.sibling for step in branch),
        coinbase=bytes_of(f"{field} coinbase", one["coinbase"]),
        coinbase_branch=tuple(coinbase_branch),
        headers=_headers(field, bytes_of(f"{field} header", one["header"]), parts["successors"]),
    )
    return Published(one["network"], batch, proof)


def _parts(field: str, data: bytes) -> dict[str, list[str]]:
    """Each part is its name on a line, then its lines."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in lines_of(field, text_of(field, data)):
        if line in _PARTS and line not in parts:
            parts[name := line] = []
        else:
            parts.setdefault(name, []).append(line)
    if tuple(parts) != _PARTS:
        raise Malformed(field, f"must have the parts {', '.join(_PARTS)}, in this order")
    return parts


def _one(field: str, lines: list[str]) -> str:
    if len(lines) != 1:
        raise Malformed(field, "must be one line")
    return lines[0]


def _headers(field: str, first: bytes, lines: list[str]) -> tuple[Header, ...]:
    """All headers, those of successors with the id of their predecessor put back in."""
    if len(lines) > MAX_SUCCESSORS:
        raise Malformed(f"{field} successors", f"are at most {MAX_SUCCESSORS}, these are {len(lines)}")
    headers = [Header.parse(first, f"{field} header")]
    for line in lines:
        short = bytes_of(f"{field} successors", line)
        if len(short) != _SHORT_BYTES:
            raise Malformed(
                f"{field} successors",
                f"must have {_SHORT_BYTES} bytes: a header without its predecessor's id",
            )
        headers.append(Header.parse(short[:4] + headers[-1].hash + short[4:]))
    return tuple(headers)


def write_published(published: Published) -> bytes:
    """Undo `read_published`."""
    proof = published.proof
    branch = tuple(Step(bool(proof.index >> level & 1), each) for level, each in enumerate(proof.branch))
    raw = [header.encode() for header in proof.headers]
    texts = (
        f"{published.network}\n",
        write_steps(published.batch),
        f"{base64_of(proof.tx)}\n",
        write_steps(branch),
        f"{base64_of(proof.coinbase)}\n",
        "".join(f"{base64_of(each)}\n" for each in proof.coinbase_branch),
        f"{base64_of(raw[0])}\n",
        "".join(f"{base64_of(each[:4] + each[36:])}\n" for each in raw[1:]),
    )
    return "".join(f"{name}\n{text}" for name, text in zip(_PARTS, texts, strict=True)).encode()
