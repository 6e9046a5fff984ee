"""The ledger as a fold: value is kept, and no cut, restart or interleaving makes a difference."""

from dataclasses import dataclass, field
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from bus import merkle
from bus.messages import Burn, Credit, Verdict
from bus.messages.ledger import LedgerState, Order
from bus.reader import Entry
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from ledger import checkpoint
from ledger.book import Ledger
from ledger.documents import balance_proof, energy_proof
from ledger.energy import OTHER
from ledger.orders import sign
from ledger.proof import check

OPERATOR = Identity.from_seed(bytes(32))
VERIFIER = Identity.from_seed(bytes([1]) * 32)
CLIENTS, NODES = ("ada", "bob"), ("n1", "n2", "n3", "n4")
JULY_MS, MONTH_MS = 1_783_000_000_000, 31 * 86_400_000


@dataclass
class Logs:
    """Two logs that grow, and what an accountant who saw everything would have written down."""

    verdicts: list[Entry] = field(default_factory=list)
    anchors: list[Entry] = field(default_factory=list)

    def verdict(self, *members: Verdict, at_ms: int = JULY_MS) -> None:
        """One entry of VERDICTS."""
        body = VERIFIER.seal(VERDICTS, [encode(each) for each in members])
        self.verdicts.append(Entry(len(self.verdicts) + 1, at_ms, "v", body))

    def anchor(self, *lines: bytes) -> None:
        """One entry of ANCHORS."""
        self.anchors.append(Entry(len(self.anchors) + 1, JULY_MS, "a", b"\n".join(lines)))

    def order(self, order: Order) -> None:
        """An order that was let in."""
        self.anchor(encode(sign(order, OPERATOR)))


def credit(account: str, amount: int, name: str) -> Credit:
    return Credit(cluster="home", id=name, account=f"client/{account}", amount=amount)


def burn(account: str, amount: int, name: str) -> Burn:
    return Burn(cluster="home", id=name, account=f"node/{account}", amount=amount, to="somewhere")


def folded(logs: Logs, ledger: Ledger | None = None) -> Ledger:
    """The ledger after all of both logs."""
    ledger = ledger or Ledger()
    for entry in logs.anchors:
        ledger.fold_anchors(entry)
    for entry in logs.verdicts:
        ledger.fold_verdicts(entry)
    return ledger


def check_value(ledger: Ledger) -> None:
    """Nothing is made and nothing lost, of money and of energy."""
    clients = [ledger.accounts.totals(name) for name, _, _ in ledger.accounts if name.startswith("client/")]
    nodes = [ledger.accounts.totals(name) for name, _, _ in ledger.accounts if name.startswith("node/")]
    assert sum(each.received for each in clients) == ledger.credited
    assert sum(each.given for each in clients) == sum(each.received for each in nodes)
    assert sum(each.given for each in nodes) == ledger.burned
    assert sum(each.balance for each in (*clients, *nodes)) == ledger.credited - ledger.burned
    sums = {"client": [0, 0, 0], "node": [0, 0, 0]}
    for account, _, results, fuel, uj in ledger.energy:
        side = sums[account.partition("/")[0]]
        for at, more in enumerate((results, fuel, sum(uj.values()))):
            side[at] += more
    assert sums["client"] == sums["node"]


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    nodes = draw(st.permutations(NODES))
    agreeing = draw(st.integers(0, 3))
    dissenting = draw(st.integers(0, 1)) if agreeing else 0
    counted = agreeing + dissenting
    each = tuple(
        (
            draw(st.sampled_from([0.0, 1e-7, 0.25, 1.5, 1e12])),
            draw(st.sampled_from(["measured:rapl", "", "estimated:tdp"])),
        )
        for _ in range(counted if draw(st.booleans()) and counted > 1 else 0)
    )
    return Verdict(
        task=f"{draw(st.sampled_from(CLIENTS))}.t",
        status=draw(st.sampled_from(["verified", "verified", "verified", "failed"]))
        if agreeing
        else "cancelled",
        agree=tuple(nodes[:agreeing]),
        dissent=tuple(nodes[agreeing:counted]),
        fuel=draw(st.sampled_from([0, 1, 10**9, 2**63 - 1])),
        reward=draw(st.sampled_from([0, 1, 2, 10, 1001, 2**53])),
        price=draw(st.sampled_from([0, 0, 1, 7, 2**53])),
        energy_j=draw(st.sampled_from([0.0, 0.1, 3.3])),
        energy_method="measured:rapl",
        energy_each=each,
        source=(draw(st.integers(1, 4)), draw(st.integers(0, 3))),
    )


steps = st.one_of(
    st.tuples(st.just("verdict"), st.lists(verdicts(), min_size=1, max_size=3), st.integers(0, 2)),
    st.tuples(st.just("credit"), st.sampled_from(CLIENTS), st.integers(1, 10**6), st.integers(0, 9)),
    st.tuples(st.just("burn"), st.sampled_from(NODES), st.integers(1, 100), st.integers(10, 19)),
    st.just(("seal",)),
    st.just(("restart",)),
    st.just(("lost",)),
    st.just(("noise",)),
)


def play(history: list[tuple]) -> tuple[Logs, Ledger]:
    """One ledger lives through it, beside the logs that are written."""
    logs, ledger = Logs(), Ledger()
    for verb, *said in history:
        match verb:
            case "verdict":
                logs.verdict(*said[0], at_ms=JULY_MS + said[1] * MONTH_MS)
                ledger.fold_verdicts(logs.verdicts[-1])
            case "credit":
                logs.order(credit(said[0], said[1], f"o{said[2]}"))
            case "burn":
                logs.order(burn(said[0], said[1], f"o{said[2]}"))
            case "seal":
                logs.anchor(ledger.seal().line)
            case "lost":
                ledger.seal()  # it never becomes durable
            case "restart":
                ledger = checkpoint.restore(checkpoint.pack(ledger))
            case "noise":
                logs.anchor(
                    b'{"kind":"transaction","txid":"00"}', b"not json", b'{"kind":"order","payload":"e30="}'
                )
        for entry in logs.anchors[ledger.anchors :]:
            ledger.fold_anchors(entry)
        check_value(ledger)
    return logs, ledger


@given(st.lists(steps, max_size=25))
def test_value_is_kept_and_a_restart_anywhere_changes_nothing(history: list[tuple]) -> None:
    """The one that lived through it all has the roots of one that reads the logs afterwards, one whole log after the other."""
    logs, lived = play(history)
    read = folded(logs)

    check_value(read)
    assert read.seal().line == lived.seal().line
    assert lived.contradictions == 0
    assert read.skipped == lived.skipped


@given(st.lists(steps, max_size=25))
def test_what_is_proven_is_what_was_sealed(history: list[tuple]) -> None:
    """Every account and month of the newest state has a proof, also after a restart, and whatever has moved since."""
    logs, ledger = play([*history, ("seal",)])
    newest = ledger.newest
    assert newest is not None
    held = {name: (received, given) for name, received, given in ledger.accounts}
    months = {(account, month): fuel for account, month, _, fuel, _ in ledger.energy}
    logs.verdict(
        Verdict(
            task="ada.late", status="verified", agree=("n1", "n9"), reward=10**6, energy_j=4.0, source=(9, 0)
        )
    )
    ledger.fold_verdicts(logs.verdicts[-1])
    ledger = checkpoint.restore(checkpoint.pack(ledger))

    assert ledger.newest is not None
    for name in (*held, "client/nobody", "node/n9"):
        proven = check(balance_proof(ledger.newest, name), committed=newest.commitment)
        leaf = proven.leaf
        assert (None if leaf is None else (leaf["received"], leaf["given"])) == held.get(name)
    for (account, month), fuel in months.items():
        shown = check(energy_proof(ledger.newest, account, month), committed=newest.commitment).leaf
        assert shown is not None
        assert shown["fuel"] == fuel


def test_a_verdict_pays_who_agreed_and_nobody_else() -> None:
    """Dissenters, and nodes that failed of themselves, earn nothing; what cannot be divided stays with the client."""
    logs = Logs()
    logs.order(credit("ada", 1000, "a"))
    logs.verdict(
        Verdict(
            task="ada.t", status="verified", agree=("n1", "n2", "n3"), dissent=("n4",), faulted=("n5",), reward=100,
            source=(1, 0),
        )
    )  # fmt: skip
    ledger = folded(logs)

    assert [ledger.accounts.totals(f"node/n{n}").balance for n in range(1, 6)] == [33, 33, 33, 0, 0]
    assert ledger.accounts.totals("client/ada") == (1000, 99)


def test_a_price_is_for_fuel_and_the_reward_its_limit() -> None:
    """Rounded up to a whole msat for each node; never more than its part of the reward."""
    for fuel, share in ((0, 0), (1, 1), (10**9, 5), (10**9 + 1, 6), (3 * 10**9, 15), (10**12, 50)):
        logs = Logs()
        logs.verdict(
            Verdict(
                task="a.t",
                status="verified",
                agree=("n1", "n2"),
                fuel=fuel,
                reward=100,
                price=5,
                source=(1, 0),
            )
        )
        assert folded(logs).accounts.totals("node/n2").received == share


def test_what_was_not_verified_costs_nothing() -> None:
    """Whatever ended it, and although nodes agreed on how it failed."""
    for status in ("failed", "cancelled", "expired"):
        logs = Logs()
        logs.verdict(Verdict(task="a.t", status=status, agree=("n1",), reward=100, source=(1, 0)))
        assert len(folded(logs).accounts) == 0


def test_a_second_verdict_for_a_task_pays_nothing() -> None:
    """One task, one payment, even where a verifier went wrong; another line of the same entry is another task."""
    logs = Logs()
    one = Verdict(task="a.t", status="verified", agree=("n1",), reward=100, source=(7, 0))
    logs.verdict(one, one, Verdict(task="a.u", status="verified", agree=("n1",), reward=1, source=(7, 1)))
    logs.verdict(one)
    ledger = folded(logs)

    assert ledger.accounts.totals("node/n1").received == 101
    assert ledger.skipped == 2


def test_an_order_that_stands_twice_in_the_log_counts_once() -> None:
    """Orders are known by their id."""
    logs = Logs()
    logs.order(credit("ada", 5, "a"))
    logs.order(credit("ada", 5, "a"))

    assert folded(logs).credited == 5


def test_another_root_for_the_same_place_is_noticed() -> None:
    """A state that somebody sealed from the same entries with another root is a contradiction, and is not taken over."""
    logs = Logs()
    logs.order(credit("ada", 5, "a"))
    ledger = folded(logs)
    line = ledger.seal().line
    logs.anchor(
        line.replace(b'"accounts_root":"', b'"accounts_root":"')[:-1].replace(
            b'"credited":5', b'"credited":6'
        )
        + b"}"
    )
    ledger = folded(logs)

    assert ledger.contradictions == 1
    assert ledger.newest is None
    assert ledger.epoch == 1


def test_energy_is_each_node_s_own_with_its_method() -> None:
    """In whole microjoules, in the month of the entry; also of a node that dissented, without fuel."""
    logs = Logs()
    logs.verdict(
        Verdict(
            task="ada.t", status="verified", agree=("n1",), dissent=("n2",), fuel=70, energy_j=0.75,
            energy_method="mixed", energy_each=((0.5, "measured:rapl"), (0.25, "estimated:tdp")), source=(1, 0),
        )
    )  # fmt: skip
    logs.verdict(
        Verdict(
            task="ada.u",
            status="failed",
            agree=("n1",),
            fuel=30,
            energy_j=2e-7,
            energy_method="",
            source=(2, 0),
        ),
        at_ms=JULY_MS + 1000,
    )
    ledger = folded(logs)

    assert ledger.energy.text("node/n1", "2026-07") == (
        b'{"account":"node/n1","month":"2026-07","results":2,"fuel":100,"energy_uj":{"measured:rapl":500000,"unknown":0}}'
    )
    assert ledger.energy.text("node/n2", "2026-07") == (
        b'{"account":"node/n2","month":"2026-07","results":1,"fuel":0,"energy_uj":{"estimated:tdp":250000}}'
    )
    assert ledger.energy.figures("client/ada", "2026-07").uj == {
        "measured:rapl": 500_000, "estimated:tdp": 250_000, "unknown": 0,
    }  # fmt: skip


def test_names_of_methods_fill_no_memory() -> None:
    """A node that calls its method something else each time gets eight names, and one for the rest."""
    logs = Logs()
    for number in range(20):
        logs.verdict(
            Verdict(
                task="a.t", status="verified", agree=("n1",), energy_j=1.0, energy_method=f"m{number}" * 99,
                source=(number + 1, 0),
            )
        )  # fmt: skip
    uj = folded(logs).energy.figures("node/n1", "2026-07").uj

    assert len(uj) == 9
    assert uj[OTHER] == 12_000_000
    assert max(map(len, uj)) <= 64


def test_the_burns_have_the_root_of_rfc_6962() -> None:
    """Over the orders' payloads, in the order of the log: by the tree that the bus signs with."""
    logs, payloads = Logs(), []
    for number in range(13):
        order = burn("n1", number + 1, f"o{number}")
        payloads.append(sign(order, OPERATOR).payload)
        logs.order(order)
        state = folded(logs).seal().state
        assert isinstance(state, LedgerState)
        assert state.burns_root == merkle.root(payloads).hex()
    assert state.burned == list(accumulate(range(14)))[-1]
