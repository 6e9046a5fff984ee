"""The users of a cluster's NATS servers: one file that the servers include, and a key for each user that has none of its own.

Guarantees that the file is always whole, that it holds public halves alone, and that what stands in it is what `bus.permissions` gives each role:
a user is a line that begins with `# role name key`, the rest follows from it.
"""

import re
import secrets
from pathlib import Path

from ambient.errors import UsersUnusable
from bus.disk import write_whole
from bus.nkeys import seed_text
from bus.permissions import User, configuration
from bus.signing import Identity
from bus.subjects import Subjects

__all__ = ["Users"]

_ROW = re.compile(r"^ *# ([a-z]+) ([A-Za-z0-9_-]{1,64}) ([0-9a-f]{64})$", re.MULTILINE)
_HEAD = (
    "# Who may do what on the bus of cluster {cluster}: written by `ambient user`, included by server.conf.\n"
    "# After a change: nats-server --signal reload, on each server.\n"
)


class Users:
    """The users in `folder`/users.conf, their keys in `folder`/keys."""

    def __init__(self, folder: Path, cluster: str) -> None:
        self._subjects = Subjects(cluster)
        self.file = folder / "users.conf"
        self._keys = folder / "keys"

    def rows(self) -> list[User]:
        """Who is in the file; nobody where there is none. Raises `UsersUnusable`."""
        try:
            text = self.file.read_text()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise UsersUnusable(
                f"{self.file} cannot be read ({error}): restore it, or delete it and add the users again"
            ) from None
        if f" {self._subjects.cluster}:" not in text.partition("\n")[0]:
            raise UsersUnusable(
                f"{self.file} is not of cluster {self._subjects.cluster!r}: choose another folder, or the right --cluster"
            )
        return [User(role, name, key) for role, name, key in _ROW.findall(text)]

    def add(self, role: str, name: str, key: str = "") -> tuple[User, Path | None]:
        """Let a user in, with its public key, or with a new pair: then also where the private half is now.

        Who is there already keeps what it has; with another `key` it is another one's name. Raises `Malformed`, `UsersUnusable`.
        """
        seed = b"" if key else secrets.token_bytes(32)
        user = User(role, name, key or Identity.from_seed(seed).key)  # type: ignore[arg-type]  # checked by it
        rows, path = self.rows(), self._keys / f"{role}-{name}.nk"
        known = next((row for row in rows if (row.role, row.name) == (role, name)), None)
        if known is not None and key in ("", known.key):
            return known, path if path.exists() else None
        if known is not None:
            raise UsersUnusable(
                f"{role} {name} has another key: remove it first (`ambient user remove {role} {name}`)"
            )
        if taken := next((row for row in rows if row.key == key), None):
            raise UsersUnusable(f"this key is {taken.role} {taken.name}'s: each user has a key of its own")
        if seed:
            self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, seed_text(seed) + "\n", 0o600)
        self._keep([*rows, user])
        return user, path if seed else None

    def remove(self, role: str, name: str) -> bool:
        """Let it in no more, once the servers have reloaded; whether it was there. Raises `UsersUnusable`."""
        rows = self.rows()
        kept = [row for row in rows if (row.role, row.name) != (role, name)]
        if len(kept) < len(rows):
            self._keep(kept)
            (self._keys / f"{role}-{name}.nk").unlink(missing_ok=True)
        return len(kept) < len(rows)

    def _keep(self, users: list[User]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        _write(
            self.file,
            _HEAD.format(cluster=self._subjects.cluster) + configuration(users, self._subjects),
            0o644,
        )


def _write(path: Path, text: str, mode: int) -> None:
    try:
        write_whole(path, text.encode(), mode=mode)
    except OSError as error:
        raise UsersUnusable(
            f"{path} cannot be written ({error.strerror}): choose a folder of your own"
        ) from None
