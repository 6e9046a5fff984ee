"""Orders of operators: the one gate through which money comes into the ledger and leaves it."""

from base64 import b64encode

import msgspec
import pytest

from bus.messages import Burn, Credit, Ordered
from bus.reader import Entry
from bus.signing import Identity
from bus.wire import encode
from ledger.book import Ledger
from ledger.errors import OrderRefused
from ledger.orders import admit, sign

OPERATOR, STRANGER = Identity.from_seed(bytes(32)), Identity.from_seed(bytes([9]) * 32)
CREDIT = Credit(cluster="home", id="a", account="client/ada", amount=10)


def let_in(ordered: Ordered, ledger: Ledger) -> bool:
    """Whether an anchor of the cluster `home` would write it."""
    return admit(ordered, ledger, operators={OPERATOR.key}, cluster="home") not in ledger.orders


def carried_out(*orders: Credit | Burn) -> Ledger:
    """A ledger after these."""
    ledger = Ledger()
    for number, order in enumerate(orders):
        ledger.fold_anchors(Entry(number + 1, 0, "a", encode(sign(order, OPERATOR))))
    return ledger


def test_an_order_is_new_once() -> None:
    """Sent again it is no error, and is not written again."""
    assert let_in(sign(CREDIT, OPERATOR), Ledger())
    assert not let_in(sign(CREDIT, OPERATOR), carried_out(CREDIT))


def _payload(payload: bytes) -> Ordered:
    """Anything, with the operator's good signature."""
    return msgspec.structs.replace(
        sign(CREDIT, OPERATOR),
        payload=payload,
        sig=b64encode(OPERATOR.sign("application/vnd.ambient.order", payload)).decode(),
    )


@pytest.mark.parametrize(
    ("field", "ordered"),
    [
        ("keyid", sign(CREDIT, STRANGER)),
        ("sig", msgspec.structs.replace(sign(CREDIT, STRANGER), keyid=OPERATOR.key)),
        (
            "sig",
            msgspec.structs.replace(sign(CREDIT, OPERATOR), payload=encode(CREDIT).replace(b"10", b"99")),
        ),
        ("cluster", sign(msgspec.structs.replace(CREDIT, cluster="other"), OPERATOR)),
        ("id", sign(msgspec.structs.replace(CREDIT, amount=11), OPERATOR)),
        ("amount", sign(Burn(cluster="home", id="b", account="node/n1", amount=1, to="x"), OPERATOR)),
        ("payload", _payload(b"nonsense")),
        ("payload.amount", _payload(encode(CREDIT).replace(b"10", b"0"))),
        ("payload.amount", _payload(encode(CREDIT).replace(b"10", b"1.5"))),
        ("payload.account", _payload(encode(CREDIT).replace(b"client/ada", b"node/ada"))),
        ("payload.account", _payload(encode(CREDIT).replace(b"client/ada", b"client/a.b"))),
        ("payload.kind", _payload(encode(CREDIT).replace(b'"credit"', b'"mint"'))),
        ("payload.more", _payload(encode(CREDIT)[:-1] + b',"more":1}')),
    ],
)
def test_what_is_wrong_with_an_order_is_named(field: str, ordered: Ordered) -> None:
    """And it changes nothing."""
    ledger = carried_out(CREDIT)
    with pytest.raises(OrderRefused) as raised:
        let_in(ordered, ledger)
    assert raised.value.field == field
    assert ledger.credited == 10


def test_credits_have_a_limit_together() -> None:
    """Sums that 64 bits do not hold could be read wrongly elsewhere."""
    ledger = carried_out(CREDIT)
    ledger.credited = 2**63 - 10

    with pytest.raises(OrderRefused, match="all credits together"):
        let_in(sign(msgspec.structs.replace(CREDIT, id="b"), OPERATOR), ledger)
    assert let_in(sign(msgspec.structs.replace(CREDIT, id="b", amount=9), OPERATOR), ledger)


def test_only_what_a_node_holds_can_be_burned() -> None:
    """What was burned before is gone."""
    ledger = carried_out(CREDIT)
    ledger.accounts.receive("node/n1", 7)

    def burn(name: str, amount: int) -> Burn:
        return Burn(cluster="home", id=name, account="node/n1", amount=amount, to="somewhere")

    assert let_in(sign(burn("b", 7), OPERATOR), ledger)
    ledger.fold_anchors(Entry(2, 0, "a", encode(sign(burn("b", 5), OPERATOR))))
    with pytest.raises(OrderRefused, match="at most the 2 msat"):
        let_in(sign(burn("c", 3), OPERATOR), ledger)
