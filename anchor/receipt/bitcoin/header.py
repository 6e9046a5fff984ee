"""Block headers: reading them, the work that they prove, and whether some of them are a chain.

Guarantees that `check_work` accepts only a header whose hash is under its own target, and only a target under the easiest one of the network.
Left to others: whether the target is the one that the network asked for at that height; that takes all headers before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from anchor.receipt.bitcoin.encoding import Reader, double_sha256
from anchor.receipt.errors import LinkBroken, Malformed

__all__ = ["EASIEST_BITS", "HEADER_BYTES", "Header", "check_chain", "check_work", "target_of", "work_of"]

HEADER_BYTES = 80
_TARGET_BITS = 256

EASIEST_BITS: Mapping[str, int] = MappingProxyType(
    {
        # Bitcoin's own limit, 0x1d00ffff, is far too easy today: a laptop makes such headers. Since 2019 every target of the main chain has had
        # this exponent or a smaller one, which is 2^73 hashes for each header: nobody makes seven of them for a receipt.
        "main": 0x177F_FFFF,
        "testnet4": 0x1D00_FFFF,
        "signet": 0x1E03_77AE,
        "regtest": 0x207F_FFFF,
    }
)
"""The easiest target that a header of each network may have, in the compact form of a header's `bits`."""


@dataclass(frozen=True, slots=True)
class Header:
    """One block's header. `time_s` is seconds since 1970, by the miner's clock."""

    version: int
    previous: bytes
    merkle_root: bytes
    time_s: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, data: bytes, what: str = "header") -> "Header":
        """The header that these 80 bytes are; raises `Malformed`."""
        reader = Reader(data, what)
        parsed = cls.read(reader)
        reader.finish()
        return parsed

    @classmethod
    def read(cls, reader: Reader) -> "Header":
        """The header that comes next."""
        return cls(
            reader.number(4),
            reader.take(32),
            reader.take(32),
            reader.number(4),
            reader.number(4),
            reader.number(4),
        )

    def encode(self) -> bytes:
        """80 bytes."""
        numbers = self.time_s, self.bits, self.nonce
        ending = b"".join(number.to_bytes(4, "little") for number in numbers)
        return self.version.to_bytes(4, "little") + self.previous + self.merkle_root + ending

    @property
    def hash(self) -> bytes:
        """The block's name, 32 bytes in hashing order."""
        return double_sha256(self.encode())


def target_of(bits: int) -> int:
    """The number under which a hash must be, from its compact form; raises `Malformed` where that is negative, zero or too large."""
    exponent, mantissa = bits >> 24, bits & 0x7F_FFFF
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)  # noqa: PLR2004
    if bits & 0x80_0000 or not 0 < target < 1 << _TARGET_BITS:
        raise Malformed("header.bits", f"{bits:#010x} is no target")
    return target


def work_of(bits: int) -> int:
    """How many hashes a block with this target takes on average."""
    return (1 << _TARGET_BITS) // (target_of(bits) + 1)


def check_work(header: Header, network: str) -> None:
    """Raises `LinkBroken` unless the header's hash proves at least the work that the network asks of any block."""
    easiest = EASIEST_BITS.get(network)
    if easiest is None:
        raise LinkBroken("network", f"{network!r} is none of {', '.join(EASIEST_BITS)}")
    target = target_of(header.bits)
    if target > target_of(easiest):
        raise LinkBroken("proof of work", f"the target {header.bits:#010x} is too easy for {network}")
    if int.from_bytes(header.hash, "little") > target:
        raise LinkBroken("proof of work", f"block {header.hash[::-1].hex()} is not under its target")


def check_chain(headers: Sequence[Header], network: str) -> int:
    """The work in all of `headers`, each of which follows the one before it; raises `LinkBroken`."""
    for number, header in enumerate(headers):
        check_work(header, network)
        if number and header.previous != headers[number - 1].hash:
            raise LinkBroken("headers", f"header {number} does not follow the one before it")
    return sum(work_of(header.bits) for header in headers)
