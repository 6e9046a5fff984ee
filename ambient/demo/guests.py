"""The guests that the demo runs, and plain Python that knows their right answers."""

from pathlib import Path

from ambient.errors import AmbientError

__all__ = ["guest", "holdout", "photograph", "primes_up_to"]

_FOLDER = Path(__file__).parents[2] / "examples" / "guests"


def guest(name: str) -> Path:
    """The module of an example guest; raises `AmbientError` where the examples are not at hand."""
    path = _FOLDER / f"{name}.wasm"
    if not path.exists():
        raise AmbientError(
            f"the demo runs the example guests and {path} is not there: run it from a clone of the project"
        )
    return path


def holdout() -> tuple[bytes, list[str]]:
    """Images of handwritten digits that the classifier has never seen (64 bytes each), and what they show."""
    folder = _FOLDER / "digits"
    return (folder / "holdout_images.bin").read_bytes(), (folder / "holdout_labels.txt").read_text().split()


def primes_up_to(limit: int) -> int:
    """How many primes there are up to `limit`, by a sieve."""
    sieve = bytearray([1]) * (limit + 1)
    sieve[:2] = b"\0\0"
    for n in range(2, int(limit**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, limit + 1, n)))
    return sum(sieve)


def photograph(width: int = 96, height: int = 64) -> bytes:
    """A picture as binary PGM: a bright disc on a dark ground, with edges to find."""
    rows = bytes(
        220 if (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2 else 30
        for y in range(height)
        for x in range(width)
    )
    return b"P5\n%d %d\n255\n" % (width, height) + rows
