"""One HTTP request and its answer.

Guarantees an end: the whole exchange is over within its time, however slowly the other side drips, and no answer is held that is longer than allowed.
Each request has a connection of its own: those that are kept open go stale, and a node is asked seldom.
"""

import asyncio
import http.client
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from anchor.bitcoin.errors import ChainUnavailable, ChainWrong
from anchor.errors import SettingsRefused

__all__ = ["Answer", "exchange", "parse_url"]

_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the body."""

    status: int
    body: bytes


def parse_url(setting: str, url: str) -> SplitResult:
    """The URL, if it is one to send requests to; raises `SettingsRefused` naming the setting."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsRefused(setting, "a URL is asked for, as in http://127.0.0.1:8332")
    return parts


async def exchange(
    url: SplitResult,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
    most_bytes: int,
) -> Answer:
    """Send `body` (POST) or ask (GET), and return the answer; raises `ChainUnavailable` or `ChainWrong`."""
    try:
        async with asyncio.timeout(timeout_s):
            raw = await _exchange(url, _request(url, path, body, headers or {}), most_bytes)
    except TimeoutError:
        raise ChainUnavailable(f"{url.hostname} did not answer within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
        raise ChainUnavailable(f"{url.hostname} cannot be asked: {error}") from None
    return _parsed(raw)


def _request(url: SplitResult, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    said = {"Host": url.netloc.rpartition("@")[2], "Connection": "close", "Accept": "*/*", **headers}
    if body is not None:
        said["Content-Length"] = str(len(body))
    method = "GET" if body is None else "POST"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + (body or b"")


async def _exchange(url: SplitResult, request: bytes, most_bytes: int) -> bytes:
    secure = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(url.hostname, port, ssl=secure)
    try:
        writer.write(request)
        await writer.drain()
        return await _read(reader, most_bytes + _HEAD_BYTES)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    """Everything until the other side closes, or until the length that it announced."""
    raw = bytearray()
    whole: int | None = None
    while whole is None or len(raw) < whole:
        part = await reader.read(65536)
        if not part:
            break
        raw += part
        if len(raw) > most:
            raise ChainWrong("body", f"at most {most} bytes are read")
        if whole is None and (end := raw.find(b"\r\n\r\n")) >= 0:
            length = _length(bytes(raw[:end]))
            whole = None if length is None else end + 4 + length
    return bytes(raw)


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


class _Replay(io.BytesIO):
    """What `http.client` takes for a socket."""

    def makefile(self, *_: object) -> "_Replay":
        return self


def _parsed(raw: bytes) -> Answer:
    try:
        response = http.client.HTTPResponse(_Replay(raw))  # type: ignore[arg-type]  # it only calls makefile
        response.begin()
        return Answer(response.status, response.read())
    except (http.client.HTTPException, ValueError) as error:
        raise ChainWrong("HTTP", f"an answer in HTTP/1.1, whole ({error or type(error).__name__})") from None
