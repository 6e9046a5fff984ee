"""What every request passes, before and behind the framework: who asks, how often, how much, and what the answer carries.

Guarantees that no path but the public ones is reached without a token, that a body is never read beyond its limit, that each request leaves one line in
the log with its id, path, status and, where it is about one, its task and submitter; that each answer carries the headers that keep a browser
from doing more with it than it should; and that a complete answer has an ETag and is compressed where the client takes that.
Event streams pass through piece by piece.
"""

import asyncio
import gzip
import hashlib
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from bus.steps import submitter_of
from gateway.errors import Refused, TokensUnusable, TooLarge, TooMany, Unauthenticated, Unavailable
from gateway.problems import PROBLEM_JSON, problem_of
from gateway.rates import Buckets
from gateway.tokens import Caller, Tokens

__all__ = ["ANONYMOUS", "SECURITY", "Edge", "Tally", "Trace"]

_log = structlog.get_logger("gateway")

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type App = Callable[[Any, Any, Any], Awaitable[None]]
type Quick = Callable[["Trace", Scope, Receive], Awaitable[tuple[int, bytes]]]

API = "/api/"
HEALTH = "/api/v1/health/"
ANONYMOUS = Caller("", "anonymous", "viewer", "")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_COMPRESS_FROM = 1024
SLOW_S = 10.0
"""How long a piece of a stream may wait for its reader."""
_TEXT = (b"application/json", b"application/problem+json", b"text/", b"application/javascript", b"image/svg")

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    b"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", _POLICY),
)
"""On every answer. Nothing from another host, no inline script, no frame around it."""


class Trace:
    """What is known of one request: its id, who asks, and the task that it is about; and the event stream that it is answered with.

    Whatever ends the answer, the stream is closed then, and not when somebody collects it.
    """

    __slots__ = ("caller", "request", "stream", "task")

    def __init__(self, request: str) -> None:
        self.request = request
        self.caller = ANONYMOUS
        self.task = ""
        self.stream: AsyncGenerator[bytes, None] | None = None


class Tally:
    """Answers by status class (`2xx` …), for the metrics."""

    def __init__(self) -> None:
        self.answers = dict.fromkeys(("2xx", "3xx", "4xx", "5xx"), 0)
        self.refused_tokens = 0
        self.streams = 0

    def __repr__(self) -> str:
        """All counts."""
        return f"Tally({self.answers}, streams={self.streams})"


class Edge:
    """The outermost ASGI application. `quick` are handlers (method, path prefix) that answer without the framework."""

    def __init__(
        self,
        app: App,
        *,
        tokens: Tokens,
        buckets: Buckets,
        tally: Tally,
        body_bytes: int,
        quick: Mapping[tuple[str, str], Quick],
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._buckets = buckets
        self._tally = tally
        self._body_bytes = body_bytes
        self._quick = quick

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
                return
            await send({"type": "websocket.close", "code": 1000})
            return
        begun = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        trace = Trace(given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8))
        scope["ambient"] = trace
        answer = _Answer(send, trace, scope["method"], headers)
        try:
            self._admit(scope["path"], headers, trace)
            bounded = self._bounded(headers, receive)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" not in headers:
                scope["method"] = (
                    "TRACE"  # which nothing takes: the framework names all that a path does take only there
                )
            elif scope["method"] == "HEAD" and not scope["path"].startswith(API):
                scope["method"] = "GET"  # of a page: the answer goes without its body
            if (handle := self._handler(scope)) is not None:
                status, body = await handle(trace, scope, bounded)
                await answer.whole(status, b"application/json", body)
            else:
                await self._app(scope, bounded, answer)
        except Exception as error:
            if answer.cut:
                _log.info("a reader that does not read is cut off", request=trace.request, path=scope["path"])
                return
            if answer.begun:
                _log.warning("an answer broke off", request=trace.request, path=scope["path"], exc_info=error)
                raise
            problem, more = problem_of(error, scope["path"], trace.request)
            trace.task = trace.task or getattr(error, "task", "")
            fields = [(name.lower().encode(), value.encode()) for name, value in more.items()]
            await answer.whole(problem.status, PROBLEM_JSON.encode(), msgspec.json.encode(problem), fields)
        finally:
            if trace.stream is not None:
                await trace.stream.aclose()
            self._note(scope, trace, answer.status, begun)

    def _handler(self, scope: Scope) -> Quick | None:
        """The quick handler, if there is one: of this path, or of what stands above its last part. None of them reads a query."""
        if scope["query_string"]:
            return None
        path, method = scope["path"], scope["method"]
        return self._quick.get((method, path)) or self._quick.get((method, path.rpartition("/")[0] + "/*"))

    def _admit(self, path: str, headers: Mapping[bytes, bytes], trace: Trace) -> None:
        if not path.startswith(API) or path.startswith(HEALTH):
            return
        scheme, _, presented = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        challenge = {"WWW-Authenticate": 'Bearer realm="ambient"'}
        if scheme.lower() != "bearer" or not presented:
            raise Unauthenticated(
                "send the header `Authorization: Bearer <token>`; `ambient token create` makes one",
                field="Authorization",
                headers=challenge,
            )
        try:
            caller = self._tokens.caller(presented.strip())
        except TokensUnusable as error:
            raise Unavailable(str(error)) from None
        if caller is None:
            self._tally.refused_tokens += 1
            raise Unauthenticated(
                "this token is not known here, or was revoked: `ambient token list` shows those that are",
                field="Authorization",
                headers={"WWW-Authenticate": 'Bearer realm="ambient", error="invalid_token"'},
            )
        trace.caller = caller
        wait_s = self._buckets.take(caller.id, time.monotonic())
        if wait_s > 0:
            limit = f"{self._buckets.per_s:g} requests a second, {self._buckets.burst:g} at once"
            raise TooMany(
                f"token {caller.name!r} may make {limit}",
                limit=limit,
                headers={"Retry-After": str(max(1, round(wait_s + 0.5)))},
            )

    def _bounded(self, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
        """`receive` that counts: a body that says how long it is is refused unread, one that does not when it is too long."""
        limit, read = self._body_bytes, 0
        said = headers.get(b"content-length")
        if said is None and b"transfer-encoding" not in headers:
            return receive
        if said is not None and said.isdigit() and int(said) > limit:
            raise _too_large(limit)

        async def bounded() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise _too_large(limit)
            return message

        return bounded

    def _note(self, scope: Scope, trace: Trace, status: int, begun: float) -> None:
        self._tally.answers[f"{min(max(status // 100, 2), 5)}xx"] += 1
        tell = _log.debug if scope["method"] in ("GET", "HEAD") and status < 500 else _log.info  # noqa: PLR2004
        more = {"task": trace.task} if trace.task else {}
        tell(
            "request",
            request=trace.request,
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round((time.perf_counter() - begun) * 1000, 2),
            submitter=submitter_of(trace.task) if trace.task else trace.caller.client,
            token=trace.caller.name,
            **more,
        )


def _too_large(limit: int) -> Refused:
    told = f"at most {limit} bytes"
    return TooLarge(f"the body may hold {told}", field="body", limit=told)


class _Answer:
    """Passes an answer on: with our headers, and where it is complete with an ETag, compressed."""

    def __init__(self, send: Send, trace: Trace, method: str, headers: Mapping[bytes, bytes]) -> None:
        self._send = send
        self._trace = trace
        self._method = method
        self._headers = headers
        self._start: dict[str, Any] | None = None
        self._asks_methods = method == "OPTIONS"
        self.begun = self.cut = False
        self.status = 500

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            self.status = message["status"]
            return
        if self._start is None:
            await self._piece(message)
            return
        start, self._start = self._start, None
        if message.get("more_body"):
            self.begun = True
            await self._send({**start, "headers": [*start["headers"], *self._ours(start["headers"])]})
            await self._piece(message)
            return
        await self._complete(start["status"], list(start["headers"]), message.get("body", b""))

    async def _piece(self, message: dict[str, Any]) -> None:
        """A piece of a stream; who does not take it in time is cut off, so that nobody's reading holds our memory."""
        try:
            async with asyncio.timeout(SLOW_S):
                await self._send(message)
        except TimeoutError:
            self.cut = True
            # A close would wait until what is buffered is read, which is what never happens.
            transport = getattr(getattr(self._send, "__self__", None), "transport", None)
            if transport is not None:
                transport.abort()
            raise

    async def whole(
        self, status: int, media: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """A whole answer of our own."""
        self.status = status
        await self._complete(status, [(b"content-type", media), *(more or ())], body)

    def _ours(self, own: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Our headers, but for those that a handler has set to something of its own."""
        named = {name.lower() for name, _ in own}
        return [
            (b"x-request-id", self._trace.request.encode()),
            *(each for each in SECURITY if each[0] not in named),
        ]

    async def _complete(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._asks_methods and status == 405:  # noqa: PLR2004
            fields = [field for field in fields if field[0].lower() == b"allow"]
            self.status, status, body = 204, 204, b""
        kept = [field for field in fields if field[0].lower() != b"content-length"]
        named = {name.lower(): value for name, value in kept}
        if self._method in ("GET", "HEAD") and status == 200 and b"etag" not in named:  # noqa: PLR2004
            tag = b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
            kept.append((b"etag", tag))
            kept += [] if b"cache-control" in named else [(b"cache-control", b"private, no-cache")]
            if tag in self._headers.get(b"if-none-match", b""):
                self.status, status, body = 304, 304, b""
        if len(body) >= _COMPRESS_FROM and named.get(b"content-type", b"").startswith(_TEXT):
            kept.append((b"vary", b"accept-encoding"))
            if b"gzip" in self._headers.get(b"accept-encoding", b"") and b"content-encoding" not in named:
                body = gzip.compress(body, compresslevel=1)
                kept.append((b"content-encoding", b"gzip"))
        if status != 304 and status != 204:  # noqa: PLR1714, PLR2004
            kept.append((b"content-length", str(len(body)).encode()))
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*kept, *self._ours(kept)]}
        )
        await self._send(
            {
                "type": "http.response.body",
                "body": b"" if self._method == "HEAD" else body,
                "more_body": False,
            }
        )
