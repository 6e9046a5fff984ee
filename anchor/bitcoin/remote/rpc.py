"""JSON-RPC as Bitcoin nodes speak it (Bitcoin Core, btcd): one question, one answer.

Guarantees that an answer is to the question, and that what fails says whether to ask again (`ChainUnavailable`), what is wrong with the answer
(`ChainWrong`), or what the node said (`RpcError`). Amounts are decimals, never binary fractions. The cookie is read for each question, as the
node makes another one whenever it starts.
"""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from anchor.bitcoin.errors import BitcoinError, ChainUnavailable, ChainWrong
from anchor.bitcoin.remote.http import exchange, parse_url

__all__ = ["METHOD_UNKNOWN", "Rpc", "RpcError", "field"]

METHOD_UNKNOWN = -32601
_WARMING_UP = -28
_UNAUTHORIZED, _FORBIDDEN, _BUSY = 401, 403, 503
_MOST_BYTES = 16 * 1024 * 1024
"""A block of 4,000,000 weight units in hex is half of this."""
_MOST_SAID = 300


class RpcError(BitcoinError):
    """The node answers that it will not: `code` as in Bitcoin Core's `rpc/protocol.h`, `said` in its words."""

    def __init__(self, method: str, code: int, said: str) -> None:
        super().__init__(f"{method}: {said} ({code})")
        self.code = code
        self.said = said


class Rpc:
    """A node at `url`, which may hold user and password; else they are in the file `cookie`."""

    def __init__(self, url: str, *, cookie: Path | None = None, timeout_s: float = 20.0) -> None:
        self._url = parse_url("chain", url)
        self._cookie = cookie
        self._timeout_s = timeout_s
        self._asked = 0

    def __repr__(self) -> str:
        """Whom it asks; never with which password."""
        return f"Rpc({self._url.scheme}://{self._url.hostname}:{self._url.port}{self._url.path})"

    async def call(self, method: str, *params: object) -> Any:
        """The result of `method`; raises `RpcError`, `ChainUnavailable` or `ChainWrong`."""
        self._asked += 1
        number = self._asked
        question = {"jsonrpc": "1.0", "id": number, "method": method, "params": params}
        answer = await exchange(
            self._url,
            self._url.path or "/",
            body=json.dumps(question).encode(),
            headers={"Content-Type": "application/json", "Authorization": self._authorization()},
            timeout_s=self._timeout_s,
            most_bytes=_MOST_BYTES,
        )
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise ChainUnavailable(f"{self!r} refuses our user and password: correct them, or the cookie")
        if answer.status == _BUSY:
            raise ChainUnavailable(f"{self!r} is busy")
        return self._result(method, number, answer.body)

    def _result(self, method: str, number: int, body: bytes) -> Any:
        try:
            said = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise ChainWrong(method, "one JSON document") from None
        if not isinstance(said, dict) or said.get("id") != number:
            raise ChainWrong(f"{method}.id", f"{number}, as was asked")
        error = said.get("error")
        if error is None:
            return said.get("result")
        code, message = field(error, "code", int, method), field(error, "message", str, method)
        if code == _WARMING_UP:
            raise ChainUnavailable(f"the node is starting: {message[:_MOST_SAID]}")
        raise RpcError(method, code, message[:_MOST_SAID])

    def _authorization(self) -> str:
        user, password = self._url.username or "", self._url.password or ""
        secret = f"{user}:{password}".encode()
        if self._cookie is not None:
            try:
                secret = self._cookie.read_bytes().strip()
            except OSError as error:
                raise ChainUnavailable(f"the node's cookie {self._cookie} cannot be read: {error}") from None
        return "Basic " + base64.b64encode(secret).decode("ascii")


def field[T](said: object, name: str, kind: type[T], what: str) -> T:
    """A field of an answer, of the type that it must have; raises `ChainWrong` naming it."""
    value = said.get(name) if isinstance(said, dict) else None
    if kind is Decimal and isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ChainWrong(f"{what}.{name}", f"of type {kind.__name__}")
    return value
