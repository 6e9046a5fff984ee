"""What is proven: the log of verdicts, the ledger, publication on Bitcoin."""

from grafana.panel import Board, Limit, Panel, Query, Row

__all__ = ["BOARD"]

_LOG = Row("The log of verdicts", (
    Panel(
        "Entries", "short",
        "Verdicts in the log, and those under a signed state. Where the second stands still, nobody can have a receipt for what is new: see the anchor's log, and whether witnesses answer.",
        (Query("max by (state) (ambient_anchor_entries{@})", "{{state}}"),),
    ),
    Panel(
        "Not signed yet", "short",
        "Entries beyond the signed state. A state is signed about every second; more than a few seconds' worth means that the anchor's disk or its witnesses are slow.",
        (Query('max(ambient_anchor_entries{@, state="kept"}) - max(ambient_anchor_entries{@, state="signed"})', "unsigned"),), "lines", Limit(10_000, 100_000),
    ),
    Panel(
        "Not published for good", "short",
        "Signed entries that no final publication covers. It falls with each one; where it only grows, see what holds publications up.",
        (Query("max(ambient_anchor_unpublished_entries{@})", "unpublished"),),
    ),
))  # fmt: skip

_BITCOIN = Row("On Bitcoin", (
    Panel(
        "Publications by status", "short",
        "Those that are still followed. Many in `broadcast`: fees are too low for the moment, the anchor raises them within its caps. `stranded`: its coin is gone, the next one spends another.",
        (Query("max by (status) (ambient_anchor_publications{@})", "{{status}}"),), "stack",
    ),
    Panel(
        "Age of the oldest open publication", "s",
        "On a public chain about an hour from built to final. Above six hours fees are above the caps, or nobody mines what is paid: docs/runbooks/anchor-late.md.",
        (Query("max(ambient_anchor_lag_seconds{@})", "oldest"),), "lines", Limit(7200, 21_600),
    ),
    Panel(
        "What holds publications up", "short",
        "Caps, an empty wallet, a node that cannot be used. Anything but 0 for more than minutes needs a person: the anchor's log says what it waits for.",
        (Query("max(ambient_anchor_held{@})", "held"),), "lines", Limit(1, 2),
    ),
    Panel(
        "Fees paid", "short",
        "Satoshis that final publications cost, in all. The slope is what proof costs: publish less often (`--anchor-every`) if it is too steep.",
        (Query("max(ambient_anchor_fees_paid_satoshis_total{@})", "satoshis"),),
    ),
))  # fmt: skip

_LEDGER = Row("The ledger", (
    Panel(
        "Sealed states", "short",
        "The newest sealed state of the ledger. It rises whenever something was paid; where it stands still while verdicts pay rewards, the anchor does not lead.",
        (Query("max(ambient_ledger_epoch{@})", "epoch"),), width=6,
    ),
    Panel(
        "Accounts", "short",
        "Accounts that anything was paid to or from. A sudden rise is clients that use a name for each task: every account is kept for ever.",
        (Query("max(ambient_ledger_accounts{@})", "accounts"),), width=6,
    ),
    Panel(
        "Credited and burned", "short",
        "Satoshis that operators ordered to be credited, and to be burned for payment elsewhere. Every step must be an operator's order that you know of.",
        (
            Query("max(ambient_ledger_credited_satoshis{@})", "credited"),
            Query("max(ambient_ledger_burned_satoshis{@})", "burned"),
        ), width=6,
    ),
    Panel(
        "Contradictions", "short",
        "Sealed states that this fold came to other roots for. It must be 0: else stop paying out, keep all folders, and audit (docs/runbooks/ledger-contradiction.md).",
        (Query("max(ambient_ledger_contradictions{@})", "contradictions"),), "number", Limit(1, 1), 6,
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-anchor", "Ambient: Anchor and ledger",
    "How far verdicts are signed and published, what that costs, and what the ledger holds.",
    (_LOG, _BITCOIN, _LEDGER),
)  # fmt: skip
