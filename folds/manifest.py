"""What a checkpoint consists of, and whether it is fit for use. Pure.

A checkpoint is a manifest and parts. The manifest says of which fold it is, in which format, up to which sequence of each log, and names its
parts by their SHA-256: blocks of packed state, and runs of what is finished. So parts need no trust and no second copy: the same
run stands in many manifests. The manifest carries its own digest, for nobody else names it.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from bus.errors import Malformed
from bus.wire import decode, decoder, encode, sha256_hex
from folds.errors import CheckpointUnusable

__all__ = ["DIGEST_HEADER", "PART_BYTES", "Manifest", "joined", "read_manifest", "split", "write_manifest"]

DIGEST_HEADER = "Avcp-Digest"
PART_BYTES = 16 * 1024 * 1024
"""A block of packed state holds at most this much; below what a blob may hold."""

_Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint: the fold's state with each log folded up to `positions`.

    `version` is the format of the state, `written_ms` the writer's clock, `writer` and `epoch` who wrote it, `state` and `runs` the parts.
    """

    fold: str
    version: int
    positions: dict[str, _Sequence]
    written_ms: int
    writer: str = ""
    epoch: int = 0
    state: tuple[_Digest, ...] = ()
    runs: tuple[_Digest, ...] = ()

    @property
    def parts(self) -> frozenset[str]:
        """Everything that must be there."""
        return frozenset((*self.state, *self.runs))


_MANIFEST = decoder(Manifest)


def write_manifest(manifest: Manifest) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a manifest's message."""
    body = encode(manifest)
    return body, {DIGEST_HEADER: sha256_hex(body)}


def read_manifest(body: bytes, digest: str, fold: str, version: int | None) -> Manifest:
    """Undo `write_manifest`; raises `CheckpointUnusable` for what is damaged, of another fold or another version than `version`.

    With None every version will do: for who wants to know no more than how far it reaches.
    """
    if sha256_hex(body) != digest:
        raise CheckpointUnusable(f"the manifest of {fold} is damaged: its digest does not hold")
    try:
        manifest = decode(body, _MANIFEST)
    except Malformed as error:
        raise CheckpointUnusable(f"the manifest of {fold} cannot be read: {error}") from None
    if manifest.fold != fold or (version is not None and manifest.version != version):
        raise CheckpointUnusable(
            f"the manifest is for {manifest.fold} in format {manifest.version}, not {fold} in format {version}"
        )
    return manifest


def split(state: bytes) -> list[bytes]:
    """Packed state as blocks, compressed."""
    pieces = [state[at : at + PART_BYTES] for at in range(0, len(state), PART_BYTES)] or [b""]
    return [zlib.compress(piece, 1) for piece in pieces]


def joined(blocks: Iterable[bytes]) -> bytes:
    """Undo `split`; raises `CheckpointUnusable` where a block is not what `split` makes."""
    return b"".join(map(_inflated, blocks))


def _inflated(block: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        piece = inflate.decompress(block, PART_BYTES)
    except zlib.error as error:
        raise CheckpointUnusable(f"a block of state cannot be read: {error}") from None
    if not inflate.eof:
        raise CheckpointUnusable(f"a block of state holds more than {PART_BYTES} bytes, or ends early")
    return piece


def no_longer_needed(kept: Sequence[Manifest], gone: Iterable[Manifest]) -> set[str]:
    """Parts that only manifests in `gone` name."""
    needed = frozenset[str]().union(*(each.parts for each in kept))
    return set().union(*(each.parts for each in gone)) - needed
