"""Gives a module's memory a name, so that the host can measure it.

The engine's C interface reaches only what a module exports. A guest whose memory has no exported name would report
no peak memory. One more entry in the export section changes neither what the guest computes nor its fuel.
"""

from sandbox.module import ModuleReport
from sandbox.reader import Cursor

EXPOSED_MEMORY = b"ambient:memory"
_EXPORT_SECTION = 7


def expose_memory(wasm: bytes, report: ModuleReport) -> bytes:
    """The module with its memory also exported as `EXPOSED_MEMORY`; unchanged if that would serve nothing."""
    if report.memory is None or report.memory_exported or EXPOSED_MEMORY.decode() in report.exports:
        return wasm
    at = len(wasm[:8])
    while at < len(wasm):
        cursor = Cursor(wasm, at, len(wasm))
        code, size = cursor.byte(), cursor.number()
        body = cursor.at
        if code == _EXPORT_SECTION:
            count = cursor.number()
            entry = _leb(len(EXPOSED_MEMORY)) + EXPOSED_MEMORY + b"\x02\x00"
            section = _leb(count + 1) + wasm[cursor.at : body + size] + entry
            return wasm[:at] + bytes([code]) + _leb(len(section)) + section + wasm[body + size :]
        at = body + size
    return wasm


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte (section 5.2.2)
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
