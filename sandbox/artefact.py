"""A compiled module together with the report that was made of it, as one stored file.

The slot that runs a module must know its signatures without reading its bytes again; keeping the report in the same
authenticated file makes sure that the two belong together.
"""

import msgspec

from sandbox.configuration import CONFIGURATION
from sandbox.errors import UnsafeArtefact
from sandbox.module import ModuleReport
from sandbox.store import ModuleStore

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ModuleReport).decode
LENGTH_BYTES = 4


def write_artefact(store: ModuleStore, report: ModuleReport, code: bytes) -> None:
    """Keep a module's report and machine code."""
    head = _encode(report)
    store.write_artefact(
        report.digest, CONFIGURATION, len(head).to_bytes(LENGTH_BYTES, "little") + head + code
    )


def read_artefact(store: ModuleStore, digest: str) -> tuple[ModuleReport, bytes]:
    """A module's report and machine code.

    Raises:
        UnsafeArtefact: missing, damaged, or not made by this store.
    """
    data = store.read_artefact(digest, CONFIGURATION)
    size = int.from_bytes(data[:LENGTH_BYTES], "little")
    try:
        report = _decode(data[LENGTH_BYTES : LENGTH_BYTES + size])
    except msgspec.MsgspecError as error:
        raise UnsafeArtefact(f"the compiled form of {digest} is of another version: {error}") from None
    return report, data[LENGTH_BYTES + size :]
