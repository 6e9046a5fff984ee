"""The ledger's lines in ANCHORS: what operators ordered, and the state that all verdicts and orders led to.

Amounts are in millisatoshi (msat), a thousandth of the smallest unit of Bitcoin: whole numbers, and small enough to pay for a
thousandth of a second of computing.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bus.messages.task import Token
from bus.subjects import TOKEN_PATTERN

__all__ = [
    "AMOUNT_MAX",
    "AccountReceiptReply",
    "AccountReceiptRequest",
    "BalanceReply",
    "BalanceRequest",
    "Burn",
    "Credit",
    "EnergyReply",
    "EnergyRequest",
    "LedgerLine",
    "LedgerState",
    "Order",
    "OrderReply",
    "Ordered",
    "PurseReply",
    "PurseRequest",
]

AMOUNT_MAX = 2**53
"""The most that one order or one reward moves: what every JSON reader holds exactly, and more than there will ever be satoshi."""

_Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="msat")]
_Root = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
_Count = Annotated[int, Meta(ge=0)]
_NAME = TOKEN_PATTERN.removeprefix("^")


class Credit(Struct, frozen=True, kw_only=True, tag="credit", tag_field="kind", forbid_unknown_fields=True):
    """A client deposited: `account` (`client/<name>`) may offer so much more. `id` makes an order that is sent again harmless."""

    cluster: Token
    """Where it counts, and nowhere else."""
    id: Token
    """The order's name."""
    account: Annotated[str, Meta(pattern=f"^client/{_NAME}")]
    """`client/<name>`."""
    amount: _Amount
    """In msat."""


class Burn(Struct, frozen=True, kw_only=True, tag="burn", tag_field="kind", forbid_unknown_fields=True):
    """What a node earned leaves the ledger, to be paid out elsewhere: `to` says where, in the words of whoever pays."""

    cluster: Token
    """Where it counts, and nowhere else."""
    id: Token
    """The order's name."""
    account: Annotated[str, Meta(pattern=f"^node/{_NAME}")]
    """`node/<name>`."""
    amount: _Amount
    """In msat."""
    to: Annotated[str, Meta(min_length=1, max_length=200)]
    """Where it is paid out."""


Order = Credit | Burn
"""What an operator may order; signed by the operator, whoever carries it."""


class Ordered(Struct, frozen=True, kw_only=True, tag="order", tag_field="kind"):
    """An order as it was signed: asked of the anchor, and as a line of ANCHORS carried out.

    `payload` are the exact bytes of an `Order`; `sig` is the DSSE signature over them, by `keyid`, under `bus.signing.ORDER`.
    """

    payload: Annotated[bytes, Meta(max_length=1024)]
    keyid: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    sig: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{86}==(?!\n)$", description="64 bytes in base64")]


class LedgerState(Struct, frozen=True, kw_only=True, tag="ledger", tag_field="kind"):
    """The state of the ledger with VERDICTS folded up to `verdicts` and ANCHORS up to `anchors`; its line is what gets anchored.

    `epoch` counts these lines from 1. The roots are over the accounts, over the energy of all months, and (RFC 6962, over the
    orders' payloads) over the burns. `credited - burned` is what all accounts hold together.
    """

    epoch: Annotated[int, Meta(ge=1)]
    verdicts: _Count
    anchors: _Count
    accounts: _Count
    accounts_root: _Root
    energy: _Count
    energy_root: _Root
    burns: _Count
    burns_root: _Root
    credited: _Count
    burned: _Count


LedgerLine = Ordered | LedgerState


class OrderReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order is carried out and stands in ANCHORS, or `field` and `limit` say why not."""

    ok: bool
    """Whether it is carried out."""
    field: str = ""
    """What of the order is at fault; empty where nothing is."""
    limit: str = ""
    """What is allowed there; empty where nothing is at fault."""


class BalanceRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account holds: `client/<name>` or `node/<name>`; with `proof` also the document for `ledger.proof`."""

    account: Annotated[str, Meta(max_length=100)]
    proof: bool = False


class BalanceReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account received and gave, in msat, with VERDICTS folded up to `verdicts`.

    `proof` is about the state of `epoch`, which may lag a little. What a client has set aside for tasks without a verdict is
    still among what it holds: `PurseReply` tells.
    """

    account: str
    """`client/<name>` or `node/<name>`."""
    received: int
    """Ever, in msat."""
    given: int
    """Ever, in msat."""
    verdicts: int
    """How far VERDICTS is read: a sequence."""
    epoch: int = 0
    """The ledger's state that `proof` is about; 0 without one."""
    proof: str = ""
    """The document for `ambient verify`; empty without `--proof`."""


class PurseRequest(Struct, frozen=True):
    """What may a client still offer?"""

    client: Token


class PurseReply(Struct, frozen=True, kw_only=True):
    """Of what a client deposited, in msat: what is `held` for tasks without a verdict, and what is `free` to be offered."""

    client: str
    """Its name."""
    held: int
    """Of its deposit, what is set aside for tasks without a verdict, in msat."""
    free: int
    """What it may still offer, in msat."""


class EnergyRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the work of a node, or for a client, took in a month (`2026-07`, UTC); the newest one where none is given."""

    account: Annotated[str, Meta(max_length=100)]
    month: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2})?(?!\n)$")] = ""
    proof: bool = False


class EnergyReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Results that were counted, the fuel of those that agreed, and microjoules by the method with which each node knows its energy."""

    account: str
    """`client/<name>` or `node/<name>`."""
    month: str
    """`2026-07`, in UTC; empty where nothing was ever counted."""
    results: int = 0
    """Results that were counted."""
    fuel: int = 0
    """Instructions, about, of those that agreed."""
    energy_uj: dict[str, int] = msgspec.field(default_factory=dict)
    """Microjoules, by the method with which they are known."""
    epoch: int = 0
    """The ledger's state that `proof` is about; 0 without one."""
    proof: str = ""
    """The document for `ambient verify`; empty without `--proof`."""


class AccountReceiptRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The receipt of an account: of what it holds (`accounts`), or of what a month took (`energy`; the newest month where none is given).

    `since` says how far the state that is to be final must be folded, in VERDICTS and in ANCHORS, as an earlier answer named it; without it, as far as
    anything moved until now. With `published` it is the newest final state, whatever came after it.
    """

    account: Annotated[str, Meta(max_length=100)]
    tree: Literal["accounts", "energy"] = "accounts"
    month: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2})?(?!\n)$")] = ""
    since: tuple[_Count, _Count] | None = None
    published: bool = False


class AccountReceiptReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is: `receipt` is the file, of the state `epoch`, and `said` why it is not (yet) more.

    `open`: no state is sealed yet; `signed`: one is, and `receipt` is there; `final`: it is also published under enough blocks. `more` says whether
    waiting brings more, until a state that is folded as far as `since` is final.
    """

    state: Literal["open", "signed", "final"]
    since: tuple[_Count, _Count]
    said: str = ""
    more: bool = False
    epoch: int = 0
    receipt: bytes | None = None
