"""The dashboard's files, read once, and what a browser is told with each.

Guarantees: files are served under a path that names their content, so a browser may keep them for ever and never mixes two versions; the page
itself is asked for anew each time and costs nothing where it is the same (ETag); the Content-Security-Policy allows our own files and
API and nothing else: no inline script or style, no other host, no frame around it, no form that leaves.

Left to others: routes (`gateway.dashboard.handlers`), compression, and who may ask (everybody: there is nothing of the cluster in these files).
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

__all__ = ["CSP", "Answer", "Assets"]

_DIRECTIVES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",  # the QR code of a join token is fetched with the token, so it is a blob
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",  # no text becomes markup, wherever it comes from
)
CSP = "; ".join(_DIRECTIVES)

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": CSP,
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_VERSION_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Assets:
    """All files below `folder`, by their path in it (`js/main.js`); `index.html` is the page."""

    def __init__(self, folder: Path = _STATIC) -> None:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        digest = hashlib.sha256()
        for name, body in files.items():
            digest.update(b"%s\0%d\0" % (name.encode(), len(body)) + body)
        self.version = digest.hexdigest()[:_VERSION_CHARACTERS]
        page = self._page(files.pop("index.html"), files)
        self._files = {name: _answer(name, body, _FOR_EVER) for name, body in files.items()}
        self._index = _answer("index.html", page, _ASK_AGAIN)

    @classmethod
    @cache
    def shipped(cls) -> Self:
        """Those that are installed with this package."""
        return cls()

    def __repr__(self) -> str:
        """How many files, and their version."""
        return f"Assets({len(self._files)} files, {self.version})"

    @property
    def names(self) -> tuple[str, ...]:
        """The files besides the page."""
        return tuple(self._files)

    def page(self, if_none_match: str = "") -> Answer:
        """The page; the same one for every address, it reads which it is to show."""
        return _unless_same(self._index, if_none_match)

    def file(self, version: str, name: str, if_none_match: str = "") -> Answer | None:
        """A file of this version; None for any other."""
        found = self._files.get(name)
        if found is None or version != self.version:
            return None
        return _unless_same(found, if_none_match)

    def icon(self, if_none_match: str = "") -> Answer:
        """The icon, for browsers that ask for it without having read the page."""
        body = self._files["icon.svg"]
        same = Answer(200, {**body.headers, "Cache-Control": _ASK_AGAIN}, body.body)
        return _unless_same(same, if_none_match)

    def _page(self, page: bytes, files: dict[str, bytes]) -> bytes:
        """The page with the version in its paths, and all modules named at once: otherwise each level of imports costs a round trip."""
        base = b"/assets/" + self.version.encode()
        modules = (name for name in files if name.endswith(".js") and name != "js/theme.js")
        preload = b"".join(
            b'    <link rel="modulepreload" href="/assets/%s">\n' % name.encode() for name in modules
        )
        return re.sub(rb"/assets(?=/)", base, page.replace(b"  </head>", preload + b"  </head>"))


def _answer(name: str, body: bytes, kept: str) -> Answer:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        **_COMMON,
        "Content-Type": _TYPES[Path(name).suffix],
        "Cache-Control": kept,
        "ETag": etag,
        "Vary": "Accept-Encoding",
    }
    return Answer(200, headers, body)


def _unless_same(answer: Answer, if_none_match: str) -> Answer:
    """304 where the browser has it (RFC 9110, 13.1.2: weak comparison, a list, or `*`)."""
    given = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    if "*" in given or answer.headers["ETag"] in given:
        return Answer(
            304, {name: answer.headers[name] for name in answer.headers if name != "Content-Type"}, b""
        )
    return answer
