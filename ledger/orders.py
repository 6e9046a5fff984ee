"""Which orders of operators are let into ANCHORS, and how they are signed.

Guarantees that an order counts once, in the cluster that it names, by the key of an operator, and that nothing is burned that an account
does not hold. Whoever reads ANCHORS later carries out what stands there and asks nothing: this is the one place that refuses.
"""

from base64 import b64encode
from collections.abc import Collection
from hashlib import sha256

import msgspec

from bus.errors import BadSignature, Malformed
from bus.messages.ledger import Burn, Order, Ordered
from bus.signing import ORDER, Envelope, Identity, verify_root
from bus.wire import decode, encode
from ledger.book import Ledger
from ledger.errors import OrderRefused

__all__ = ["admit", "sign"]

_ORDER: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_CREDITED_MAX = 2**63 - 1


def sign(order: Order, operator: Identity) -> Ordered:
    """The order as its operator sends it."""
    payload = encode(order)
    return Ordered(
        payload=payload,
        keyid=operator.key,
        sig=b64encode(operator.sign(ORDER, payload)).decode(),
    )


def admit(ordered: Ordered, ledger: Ledger, *, operators: Collection[str], cluster: str) -> str:
    """The id of an order that may be written; where the ledger has it, it was carried out before. Raises `OrderRefused`.

    `operators` are the keys (hex) that may order; `ledger` must have folded ANCHORS to its end, and VERDICTS as far as burns are to reach.
    """
    order = _opened(ordered, operators)
    if order.cluster != cluster:
        raise OrderRefused("cluster", f"must be {cluster!r}: the order is for {order.cluster!r}")
    before = ledger.orders.get(order.id)
    if before is not None:
        if before != sha256(ordered.payload).digest():
            raise OrderRefused("id", "is taken by another order: choose another one")
        return order.id
    if isinstance(order, Burn):
        held = ledger.accounts.totals(order.account).balance
        if order.amount > held:
            raise OrderRefused(
                "amount", f"must be at most the {max(0, held)} msat that {order.account} holds"
            )
    elif ledger.credited + order.amount > _CREDITED_MAX:
        raise OrderRefused("amount", f"all credits together must stay below {_CREDITED_MAX} msat")
    return order.id


def _opened(ordered: Ordered, operators: Collection[str]) -> Order:
    """The order that was signed, by whoever may."""
    if ordered.keyid not in operators:
        raise OrderRefused("keyid", "must be an operator's: give the anchor the key with `--operator`")
    try:
        verify_root(Envelope(ORDER, ordered.keyid, ordered.sig), ordered.payload)
    except BadSignature:
        raise OrderRefused("sig", "must be the operator's signature over the payload") from None
    try:
        return decode(ordered.payload, _ORDER)
    except Malformed as error:
        raise OrderRefused(f"payload.{error.field}".removesuffix("."), error.limit) from None
