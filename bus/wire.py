"""Bytes to messages and back: JSON Lines, one document a line, one or many lines a message.

Guarantees that whatever bytes arrive, the answer is a message or `Malformed` naming field and limit. Line breaks
separate members, so every language can recover a member's exact bytes, which signatures and digests need.
"""

import hashlib
import re
from collections.abc import Buffer, Iterable, Sequence
from typing import Any

import msgspec

from bus.errors import Malformed, UnknownKind

__all__ = [
    "MAX_LINES",
    "MAX_LINE_BYTES",
    "MAX_MESSAGE_BYTES",
    "decode",
    "decoder",
    "encode",
    "encode_all",
    "join_lines",
    "sha256_hex",
    "split_documents",
    "split_lines",
]

MAX_LINES = 1000
"""Lines in one message: bounds what a reader does between two looks at the bus."""

MAX_MESSAGE_BYTES = 900 * 1024
"""Below nats-server's default `max_payload` of 1 MiB, with room for headers."""

MAX_LINE_BYTES = MAX_MESSAGE_BYTES - 1024
"""One line alone in its message, with room for an envelope."""

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(msgspec.Raw)
encode = _ENCODER.encode
"""Encode one message to its JSON line (no line break inside or at the end)."""


def sha256_hex(data: Buffer) -> str:
    """The SHA-256 of `data` in hex: the name of blobs and the binding of results to what was asked."""
    return hashlib.sha256(data).hexdigest()


_NAMED_FIELD = re.compile("Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_PLACE = re.compile(r"(.*) - at `(?:key` in `)?\$\.?(.*)`", re.DOTALL)
_OWN_RULE = re.compile("`(\\w+)` (must .*)", re.DOTALL)
_MAX_FIELD = 200
_MAX_LIMIT = 500


def decoder[T](kind: type[T]) -> msgspec.json.Decoder[T]:
    """A reusable decoder for `kind` (a Struct or a union of tagged Structs); use it with `decode`."""
    return msgspec.json.Decoder(kind)


def decode[T](line: bytes, with_decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one line; raise `Malformed` with the path of the field and what is allowed there.

    It is an `UnknownKind` where only the line's own tag is not among those that the decoder knows.
    """
    try:
        return with_decoder.decode(line)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"must be one JSON object a line in UTF-8 ({error})") from None


def _malformed(text: str) -> Malformed:
    """Turn msgspec's `… - at `$.a.b`` or `… - at `key` in `$.a`` into field and limit."""
    placed = _PLACE.fullmatch(text)
    limit, field = (placed[1], placed[2]) if placed else (text, "")
    if named := _NAMED_FIELD.fullmatch(limit):
        field = f"{field}.{named[2]}".removeprefix(".")
        limit = "is required" if named[1] == "missing required" else "is not a field here (a typo?)"
    elif rule := _OWN_RULE.fullmatch(limit):
        field, limit = f"{field}.{rule[1]}".removeprefix("."), rule[2]
    # A name may be as long as the message: unclipped, a refusal could outgrow what the bus carries.
    error = UnknownKind if field == "kind" and limit.startswith("Invalid value") else Malformed
    return error(_clip(field, _MAX_FIELD), _clip(limit, _MAX_LIMIT))


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def split_lines(body: bytes) -> list[bytes]:
    """The members of a message; raises `Malformed` where there are none, too many, or too many bytes."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise Malformed("", f"a message holds at most {MAX_MESSAGE_BYTES} bytes, this one has {len(body)}")
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    if not lines:
        raise Malformed("", "the message is empty; one JSON object a line is expected")
    if len(lines) > MAX_LINES:
        raise Malformed("", f"a message holds at most {MAX_LINES} lines, this one has {len(lines)}")
    return lines


def split_documents(body: bytes) -> list[bytes]:
    """Like `split_lines`, but a single JSON document spread over many lines counts as one member.

    People write `nats pub … "$(cat task.json)"`; the file may well be indented.
    """
    lines = split_lines(body)
    if len(lines) == 1 or _is_document(lines[0]):
        return lines
    # A line that is only a bracket begins an indented document even where a later typo breaks it: one refusal, not twenty.
    return [body] if lines[0].strip() in (b"{", b"[") or _is_document(body) else lines


def _is_document(text: bytes) -> bool:
    try:
        _ANY.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def join_lines(lines: Sequence[bytes]) -> bytes:
    """The body of a message with these members."""
    return b"\n".join(lines)


def encode_all(messages: Iterable[Any]) -> bytes:
    """The body of a message that holds these, one a line."""
    return b"\n".join(map(encode, messages))
