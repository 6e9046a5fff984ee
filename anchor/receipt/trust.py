"""What a reader of receipts trusts, as words on a command line become `Demands`."""

from collections.abc import Sequence
from itertools import pairwise

from anchor.receipt.bitcoin.header import HEADER_BYTES, Header
from anchor.receipt.demands import Demands
from anchor.receipt.errors import Malformed
from anchor.receipt.note import read_key

__all__ = ["demands_of", "read_headers"]

_KEY_DIGITS = 64
_MOST_WORK_BITS = 255


def read_headers(data: bytes) -> frozenset[bytes]:
    """The ids (as hashed) of the blocks in a file of headers: 80 bytes each, one behind the other, each following the one before.

    Raises `Malformed` where they are not.
    """
    if not data or len(data) % HEADER_BYTES:
        raise Malformed("headers", f"must be headers of {HEADER_BYTES} bytes, one behind the other")
    headers = [Header.parse(data[at : at + HEADER_BYTES]) for at in range(0, len(data), HEADER_BYTES)]
    for at, (before, header) in enumerate(pairwise(headers)):
        if header.previous != before.hash:
            raise Malformed(
                "headers", f"must be one chain: header {at + 1} of the file does not follow the one before it"
            )
    return frozenset(header.hash for header in headers)


def demands_of(
    *,
    task: str | None = None,
    account: str | None = None,
    verifier_keys: Sequence[str] = (),
    log_keys: Sequence[str] = (),
    witnesses: Sequence[str] = (),
    quorum: int = 0,
    headers: bytes | None = None,
    network: str | None = None,
    work_bits: int = 0,
    final: bool = False,
    evidence: bool = False,
) -> Demands:
    """The demands for these words; `headers` is the content of a file, `work_bits` the least work as a power of two. Raises `Malformed`."""
    for key in verifier_keys:
        if len(key) != _KEY_DIGITS or not set(key) <= set("0123456789abcdef"):
            raise Malformed("verifier-key", f"{_KEY_DIGITS} hex digits in lower case, not {key[:80]!r}")
    if not 0 <= work_bits <= _MOST_WORK_BITS:
        raise Malformed("work", f"0 to {_MOST_WORK_BITS}, a power of two, not {work_bits}")
    return Demands(
        task=task,
        account=account,
        verifiers=frozenset(verifier_keys),
        logs=frozenset(read_key(each, "log-key") for each in log_keys),
        witnesses=frozenset(read_key(each, "witness") for each in witnesses),
        quorum=quorum,
        headers=frozenset() if headers is None else read_headers(headers),
        network=network,
        work=1 << work_bits if work_bits else 0,
        final=final,
        evidence=evidence,
    )
