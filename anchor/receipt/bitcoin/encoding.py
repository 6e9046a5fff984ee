"""Bitcoin's serialisation: hashes, little-endian integers, compact sizes, and a reader that trusts nobody.

Guarantees that a reader never reads past its bytes, never allocates by a number that it has read, and accepts one spelling of each number.
Hashes are bytes in the order in which they are hashed; `display` and `from_display` turn them into what people and nodes write, which is reversed.
"""

from hashlib import sha256

from anchor.receipt.errors import Malformed

__all__ = ["Reader", "compact", "display", "double_sha256", "from_display"]

HASH_BYTES = 32


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of SHA-256, 32 bytes: Bitcoin's name for transactions and blocks."""
    return sha256(sha256(data).digest()).digest()


def display(digest: bytes) -> str:
    """A hash as nodes show it: the bytes reversed, in hex."""
    return digest[::-1].hex()


def from_display(text: object, field: str) -> bytes:
    """The 32 bytes that a node shows as `text`; raises `Malformed` naming `field`."""
    try:
        digest = bytes.fromhex(text) if isinstance(text, str) and len(text) == 2 * HASH_BYTES else b""
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        raise Malformed(field, "64 hexadecimal digits are asked for")
    return digest[::-1]


def compact(number: int) -> bytes:
    """A CompactSize unsigned integer, in its shortest spelling."""
    if number < 0xFD:  # noqa: PLR2004 -- the three thresholds of the format
        return number.to_bytes(1, "little")
    for marker, size in ((b"\xfd", 2), (b"\xfe", 4), (b"\xff", 8)):
        if number < 1 << 8 * size:
            return marker + number.to_bytes(size, "little")
    raise Malformed("size", "at most 2^64 - 1 can be written")


class Reader:
    """Reads `data` from the beginning; every failure is a `Malformed` that names `what`."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self.what = what

    def __repr__(self) -> str:
        """What is read, and how far."""
        return f"Reader({self.what}, {self._at} of {len(self._data)})"

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        return self._at

    def span(self, start: int) -> bytes:
        """What was read since `start`."""
        return self._data[start : self._at]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise Malformed(self.what, f"it ends after {len(self._data)} bytes, and byte {end} is asked for")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        """A little-endian unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def compact(self, most: int, field: str) -> int:
        """A CompactSize of at most `most`, in its shortest spelling only."""
        first = self.number(1)
        if first >= 0xFD:  # noqa: PLR2004 -- the markers of the format
            size = 1 << first - 0xFC
            number = self.number(size)
            least = 0xFD if size == 2 else 1 << 4 * size  # noqa: PLR2004
            if number < least:
                raise Malformed(f"{self.what}.{field}", "a size must be in its shortest spelling")
        else:
            number = first
        if number > most:
            raise Malformed(f"{self.what}.{field}", f"at most {most} are allowed, not {number}")
        return number

    def string(self, most: int, field: str) -> bytes:
        """Bytes preceded by their number, at most `most`."""
        return self.take(self.compact(most, field))

    def finish(self) -> None:
        """Nothing may be left."""
        left = len(self._data) - self._at
        if left:
            raise Malformed(self.what, f"{left} bytes follow its end")
