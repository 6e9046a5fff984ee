"""Bearer tokens: who may do what, kept as hashes in one file that every gateway of a cluster reads.

A token is `avcp_<id>_<secret>`. The file holds its id and the SHA-256 of its secret: the secret is 256 random bits, so that no slower hash would
make guessing any harder. Guarantees that whoever reads the file cannot use what it says, that a comparison takes as long for a wrong secret as
for a right one, that a change is written whole or not at all, and that a gateway follows it within a second. It needs no bus: who asks is known
also while that is away.
"""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec

from bus.disk import write_whole
from bus.subjects import token as name_token
from gateway.errors import TokensUnusable

__all__ = ["ROLES", "Caller", "Role", "TokenFile", "TokenRow", "Tokens", "tokens_path"]

Role = Literal["viewer", "client", "operator"]
"""`viewer` looks, `client` also submits and cancels in its own name, `operator` also adds, drains and removes nodes, and acts for any client."""

ROLES: tuple[Role, ...] = get_args(Role)
_TOKEN = re.compile(r"avcp_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_LOOK_S = 1.0


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """One token as it is kept: what it is called, what it may, in whose name it submits, and the hash of its secret."""

    id: str
    name: str
    role: Role
    client: str
    created: str
    sha256: str


class TokenFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    tokens: list[TokenRow]


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request."""

    id: str
    name: str
    role: Role
    client: str

    def may(self, role: Role) -> bool:
        """Whether this caller may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


_FILE = msgspec.json.Decoder(TokenFile)


def tokens_path(data: Path) -> Path:
    """Where a cluster's tokens are below its data folder."""
    return data / "tokens.json"


class Tokens:
    """The tokens in `path`; a file that is not there holds none."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = float("-inf")
        self._seen: tuple[int, int, int] | None = None
        self._rows: dict[str, tuple[bytes, Caller]] = {}

    def __repr__(self) -> str:
        """Where, and how many."""
        return f"Tokens({self._path}, {len(self._rows)})"

    def __len__(self) -> int:
        """How many there are, as of the last look."""
        return len(self._rows)

    def caller(self, presented: str) -> Caller | None:
        """Who this token is; None for one that is not known. Raises `TokensUnusable` where the file cannot be read."""
        self._look()
        found = _TOKEN.fullmatch(presented)
        if found is None:
            return None
        row = self._rows.get(found[1])
        digest = hashlib.sha256(found[2].encode()).digest()
        if row is None or not hmac.compare_digest(row[0], digest):
            return None
        return row[1]

    def create(self, name: str, role: Role, client: str, *, created: str, replaces: bool = False) -> str:
        """Make a token and return it; it cannot be had again. With `replaces` those of the same name end.

        Raises `bus.errors.Malformed` for what is no name, `TokensUnusable` for a file that cannot be used.
        """
        name_token("name", name)
        name_token("client", client)
        secret = secrets.token_urlsafe(32)
        row = TokenRow(
            id=secrets.token_hex(4),
            name=name,
            role=role,
            client=client,
            created=created,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
        )
        with self._locked():
            kept = [each for each in self.rows() if not (replaces and each.name == name)]
            self._write([*kept, row])
        return f"avcp_{row.id}_{secret}"

    def revoke(self, name: str) -> int:
        """End the tokens of this name or id; how many there were."""
        with self._locked():
            rows = self.rows()
            kept = [row for row in rows if name not in (row.name, row.id)]
            if len(kept) < len(rows):
                self._write(kept)
        return len(rows) - len(kept)

    def rows(self) -> list[TokenRow]:
        """What is in the file. Raises `TokensUnusable`."""
        try:
            return _FILE.decode(self._path.read_bytes()).tokens
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise TokensUnusable(
                f"the tokens in {self._path} cannot be read ({error}): restore the file, or delete it and make new ones"
            ) from None

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        try:
            facts = self._path.stat()
            seen = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        except FileNotFoundError:
            self._seen, self._rows = None, {}
            return
        except OSError as error:
            raise TokensUnusable(
                f"{self._path} cannot be read ({error.strerror}): it must be a file of the gateway's own"
            ) from None
        if seen != self._seen:
            self._rows = {
                row.id: (bytes.fromhex(row.sha256), Caller(row.id, row.name, row.role, row.client))
                for row in self.rows()
            }
            self._seen = seen

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, also of two processes."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, rows: list[TokenRow]) -> None:
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(TokenFile(tokens=rows))))
        self._looked_at = float("-inf")
