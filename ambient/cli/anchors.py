"""`anchor`: the process that keeps the log of verdicts and the ledger, and publishes both; its options, grouped by what they are about."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.serving import (
    SOME_TIME,
    CheckpointS,
    Data,
    LogLevel,
    LogTasks,
    Metrics,
    MetricsHost,
    log_to_stderr,
)
from ambient.extras import needs
from ambient.settings import default_data
from bus.signing import Identity

if TYPE_CHECKING:
    from anchor.bitcoin.opening import ChainSettings

__all__ = ["anchor"]


@Parameter(name="*", group=Group("Log", sort_key=50))
@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The log of verdicts, and who cosigns it."""

    key: Annotated[
        Path | None,
        Parameter(
            help="File of the key that signs the log, the same for all anchors. Default: one of its own."
        ),
    ] = None
    origin: Annotated[
        str | None, Parameter(help="The log's name, for ever. Default: made of cluster and key.")
    ] = None
    every_s: Annotated[
        float, Parameter(validator=SOME_TIME, help="Seconds between two signed states, at least.")
    ] = 1.0
    witness: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Witness whose cosignatures are taken, as a C2SP vkey; with a space and its URL it is also asked (tlog-witness).",
        ),
    ] = ()
    witnesses: Annotated[
        int,
        Parameter(
            validator=validators.Number(gte=0), help="How many must cosign a state before it is shown."
        ),
    ] = 0


@Parameter(name="*", group=Group("Ledger", sort_key=51))
@dataclass(frozen=True, kw_only=True)
class LedgerOptions:
    """The ledger, and who may order credits and burns."""

    operator: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", show_default=False, help="Key (64 hex digits) that may order credits and burns."
        ),
    ] = ()
    operator_key: Annotated[
        Path | None,
        Parameter(help="File of such a key, made if it is not there: of an operator on this machine."),
    ] = None
    ledger_every_s: Annotated[
        float, Parameter(validator=SOME_TIME, help="Seconds between two states of the ledger, at least.")
    ] = 10.0

    @property
    def operators(self) -> tuple[str, ...]:
        """The keys. Raises `bus.errors.IdentityUnusable`."""
        own = () if self.operator_key is None else (Identity.load(self.operator_key).key,)
        return (*self.operator, *own)


@Parameter(name="*", group=Group("Chain", sort_key=52))
@dataclass(frozen=True, kw_only=True)
class ChainOptions:
    """Where the states are published, how often, and what that may cost."""

    chain: Annotated[
        str,
        Parameter(
            help="Where the log is published: none, embedded (a chain of its own), core+http://… (Bitcoin Core and its wallet), "
            "node+http://… or esplora+https://… (with a key of ours)."
        ),
    ] = "embedded"
    chain_data: Annotated[
        Path | None,
        Parameter(help="Folder of the embedded chain, and of the key that pays. Default: below `--data`."),
    ] = None
    chain_cookie: Annotated[
        Path | None, Parameter(help="File with a node's user and password; else they are in its URL.")
    ] = None
    network: Annotated[
        Literal["main", "testnet4", "signet", "regtest"], Parameter(help="The network of the node.")
    ] = "regtest"
    mainnet: Annotated[
        bool, Parameter(negative="", help="Pay with real money; both caps must be set, too.")
    ] = False
    anchor_every: Annotated[
        float | None,
        Parameter(
            help="Seconds between two publications, at least. Default: 5 on the embedded chain, else 3600."
        ),
    ] = None
    anchor_count: Annotated[
        int, Parameter(help="Publish also when so many more verdicts are in the log; 0: never for that.")
    ] = 0
    max_fee_sat: Annotated[int | None, Parameter(help="Most that one publication may cost, in satoshis.")] = (
        None
    )
    max_fee_day_sat: Annotated[int | None, Parameter(help="Most that may be paid in 24 hours.")] = None

    def settings(self, data: Path) -> "ChainSettings | None":
        """Of an anchor with this folder; None where nothing is published. Raises `anchor.errors.SettingsRefused`."""
        from anchor.bitcoin.opening import ChainSettings  # noqa: PLC0415 -- an extra

        if self.chain == "none":
            return None
        return ChainSettings(
            folder=self.chain_data or data / "bitcoin",
            chain=self.chain,
            network=self.network,
            mainnet=self.mainnet,
            cookie=self.chain_cookie,
            every_s=self.anchor_every,
            count=self.anchor_count,
            max_fee_sat=self.max_fee_sat,
            max_fee_day_sat=self.max_fee_day_sat,
        )


async def anchor(
    *,
    name: Annotated[str | None, Parameter(help="Name of this instance; random if not given.")] = None,
    log: LogOptions = LogOptions(),
    ledger: LedgerOptions = LedgerOptions(),
    chain: ChainOptions = ChainOptions(),
    checkpoint_s: CheckpointS = 10.0,
    data: Data = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Keep the log of verdicts and the ledger, and hand out receipts. Any number may run; one leads, the others stand by."""
    log_to_stderr(log_level, connection.settings.cluster, steps=log_tasks)
    with needs("anchor"):
        from anchor.service import run  # noqa: PLC0415 -- an extra
        from anchor.settings import AnchorSettings  # noqa: PLC0415 -- an extra
    where = connection.settings
    kept = data or default_data(where.cluster) / "anchor"
    settings = AnchorSettings(
        url=where.nats,
        cluster=where.cluster,
        data=kept,
        name=name or f"anchor-{secrets.token_hex(4)}",
        key=log.key,
        origin=log.origin,
        every_s=log.every_s,
        witnesses=log.witness,
        quorum=log.witnesses,
        operators=ledger.operators,
        ledger_every_s=ledger.ledger_every_s,
        bitcoin=chain.settings(kept),
        checkpoint_s=checkpoint_s,
        metrics_port=metrics,
        metrics_host=metrics_host,
    )
    await run(settings)
    return Exit.OK
