"""`user`: who is let in by the NATS servers, and what for."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, out, print_json, table
from ambient.users import Users
from bus.permissions import Role

__all__ = ["user"]

user = App(
    name="user",
    help="Say whom the NATS servers let in and what for: writes the file that `deploy/nats/server.conf` includes.",
    result_action="return_value",
)
_Folder = Annotated[Path, Parameter(name="--folder", help="Folder of `users.conf` and `keys`.")]
_HERE = Path("deploy/nats")


class UserShown(msgspec.Struct, frozen=True, kw_only=True):
    """One whom the servers let in."""

    role: str
    """What it does."""
    name: str
    """Its name on the bus."""
    key: str
    """Its public key, in hex."""


class UserAdded(UserShown, frozen=True, kw_only=True):
    """One whom the servers let in from their next reload on."""

    file: str
    """What the servers include."""
    secret: str | None
    """File of the new private key; null where there is none, or where it was brought."""


class UserRemoved(msgspec.Struct, frozen=True):
    """Whom the servers let in no more."""

    removed: bool
    """False where there was no such user."""


@user.command
def add(
    role: Annotated[Role, Parameter(help="What it does; docs/operate.md says what each may.")],
    name: Annotated[str, Parameter(help="The node's or client's name on the bus; of a service any.")],
    /,
    *,
    key: Annotated[
        str, Parameter(help="Its public key (a node's: `ambient node status`). Default: a new pair is made.")
    ] = "",
    folder: _Folder = _HERE,
    connection: Connection = Connection(),
) -> Exit:
    """Let a user in. Harmless where it is in already; the servers must reload."""
    users = Users(folder, connection.settings.cluster)
    added, secret = users.add(role, name, key)
    told = str(secret) if secret is not None else None
    if connection.json:
        print_json(
            UserAdded(role=added.role, name=added.name, key=added.key, file=str(users.file), secret=told)
        )
        return Exit.OK
    err.print(f"{added.role} {added.name} is in {users.file}: have the servers reload it")
    if told is not None:
        err.print("it connects with NATS_KEY naming this file, which is a secret:")
        out.print(told)
    return Exit.OK


@user.command
def remove(
    role: Annotated[Role, Parameter(help="Its role.")],
    name: Annotated[str, Parameter(help="Its name.")],
    /,
    *,
    folder: _Folder = _HERE,
    connection: Connection = Connection(),
) -> Exit:
    """Let a user in no more. The servers end its connections when they reload."""
    was_there = Users(folder, connection.settings.cluster).remove(role, name)
    if connection.json:
        print_json(UserRemoved(was_there))
    else:
        err.print(
            f"{role} {name} is out: have the servers reload" if was_there else f"there is no {role} {name}"
        )
    return Exit.OK if was_there else Exit.USAGE


@user.default
@user.command(name="list")
def list_(*, folder: _Folder = _HERE, connection: Connection = Connection()) -> Exit:
    """List who is let in."""
    rows = Users(folder, connection.settings.cluster).rows()
    if connection.json:
        print_json([UserShown(role=row.role, name=row.name, key=row.key) for row in rows])
    else:
        out.print(table(("role", "name", "key"), [(row.role, row.name, row.key) for row in rows]))
    return Exit.OK
