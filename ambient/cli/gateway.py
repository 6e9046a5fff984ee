"""`gateway`: the process that serves the REST API; `token`: who may use it."""

import datetime as dt
import secrets
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import PORT, Connection
from ambient.cli.output import err, out, print_json, table
from ambient.cli.serving import LogLevel, LogTasks, Metrics, MetricsHost, log_to_stderr
from ambient.extras import needs
from ambient.settings import default_data
from bus.errors import Malformed
from gateway.tokens import Role, Tokens, tokens_path

__all__ = ["gateway", "token"]

_NONE_OR_MORE = validators.Number(gte=0)
_TokenFile = Annotated[
    Path | None,
    Parameter(name="--tokens", help="File of the tokens. Default: `tokens.json` of the local cluster."),
]


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new token."""

    name: str
    """What it is called in lists and logs."""
    role: Role
    """What it may."""
    client: str
    """In whose name it submits."""
    token: str
    """The token itself: only its hash is kept, so this is the only time that it is told."""


class TokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its secret."""

    id: str
    """Its public part, 8 hex digits."""
    name: str
    """What it is called in lists and logs."""
    role: Role
    """What it may."""
    client: str
    """In whose name it submits."""
    created: str
    """When it was made: RFC 3339, in UTC."""


class TokensEnded(msgspec.Struct, frozen=True):
    """Which tokens are no more."""

    name: str
    """The name or id that was given."""
    ended: int
    """How many tokens had it."""


async def gateway(
    *,
    name: Annotated[str | None, Parameter(help="Name of this instance; random if not given.")] = None,
    data: Annotated[
        Path | None,
        Parameter(help="Folder of the tokens where `--tokens` names no file. Default: the local cluster's."),
    ] = None,
    http_host: Annotated[
        str, Parameter(help="Address to serve at; loopback unless told otherwise.")
    ] = "127.0.0.1",
    http_port: Annotated[int, Parameter(validator=PORT, help="Port to serve at; 0 picks a free one.")] = 3000,
    tokens: _TokenFile = None,
    rate: Annotated[
        float,
        Parameter(validator=_NONE_OR_MORE, help="Requests a second that one token may make; 0: any number."),
    ] = 2000.0,
    body_mb: Annotated[
        int,
        Parameter(
            validator=validators.Number(gte=1, lte=1024), help="The largest body that is taken, in MiB."
        ),
    ] = 90,
    origin: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Web origin that may call from a browser (CORS)."),
    ] = (),
    join_nats: Annotated[
        str | None, Parameter(help="NATS address that registered nodes are told. Default: that of `--nats`.")
    ] = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Serve the REST API of a cluster. Any number may run; none of them holds anything that is not in the logs."""
    log_to_stderr(log_level, connection.settings.cluster, steps=log_tasks)
    with needs("gateway"):
        from gateway.service import run  # noqa: PLC0415 -- an extra
        from gateway.settings import GatewaySettings  # noqa: PLC0415
    where = connection.settings
    await run(
        GatewaySettings(
            tokens=tokens or tokens_path(data or default_data(where.cluster)),
            url=where.nats,
            cluster=where.cluster,
            name=name or f"gateway-{secrets.token_hex(4)}",
            host=http_host,
            port=http_port,
            per_s=rate,
            burst=2 * rate,
            body_bytes=body_mb * 2**20,
            origins=origin,
            join_url=join_nats,
            metrics_port=metrics,
            metrics_host=metrics_host,
        )
    )
    return Exit.OK


token = App(
    name="token",
    help="Make, list and end the tokens that the REST API asks for.",
    result_action="return_value",
)


@token.command
def create(
    name: Annotated[str, Parameter(help="What the token is called in lists and logs.")],
    /,
    *,
    role: Annotated[
        Role,
        Parameter(
            help="viewer: looks. client: also submits and cancels in its own name. operator: also nodes, and any client's tasks."
        ),
    ] = "viewer",
    file: _TokenFile = None,
    connection: Connection = Connection(),
) -> Exit:
    """Make a token and print it, once: only its hash is kept. `--client` says in whose name it submits."""
    where = connection.settings
    made = _tokens(file, where.cluster).create(
        name, role, where.client, created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    )
    if connection.json:
        print_json(TokenMade(name=name, role=role, client=where.client, token=made))
    else:
        out.print(made)
    return Exit.OK


@token.default
@token.command(name="list")
def list_(*, file: _TokenFile = None, connection: Connection = Connection()) -> Exit:
    """Show the tokens that there are, without their secrets."""
    rows = _tokens(file, connection.settings.cluster).rows()
    if connection.json:
        print_json(
            [
                TokenShown(id=row.id, name=row.name, role=row.role, client=row.client, created=row.created)
                for row in rows
            ]
        )
        return Exit.OK
    cells = [(row.id, row.name, row.role, row.client, row.created) for row in rows]
    out.print(table(("id", "name", "role", "client", "created"), cells))
    return Exit.OK


@token.command
def revoke(
    name: Annotated[str, Parameter(help="Name or id of the token.")],
    /,
    *,
    file: _TokenFile = None,
    connection: Connection = Connection(),
) -> Exit:
    """End a token; gateways follow within a second."""
    ended = _tokens(file, connection.settings.cluster).revoke(name)
    if not ended:
        raise Malformed(
            "NAME", f"no token is called {name!r}: `ambient token list` shows those that there are"
        )
    if connection.json:
        print_json(TokensEnded(name, ended))
    else:
        err.print(f"ended {ended} token{'s' if ended > 1 else ''}")
    return Exit.OK


def _tokens(file: Path | None, cluster: str) -> Tokens:
    return Tokens(file or tokens_path(default_data(cluster)))
