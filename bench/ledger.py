"""The ledger: how fast it folds verdicts, what an account weighs, and what a proof costs."""

import gc
import time
import tracemalloc
from itertools import count

from bench.rows import Row, median_of
from bus.messages import Credit, Verdict
from bus.reader import Entry
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from ledger.book import Ledger
from ledger.documents import balance_proof
from ledger.orders import sign
from ledger.proof import check

_NODES = 10_000
_ACCOUNTS = 100_000
_BATCH = 500
_ENTRIES = 60
_PROOFS = 300
_WHO = Identity.from_seed(bytes(32))
_JULY_MS = 1_783_000_000_000


def main() -> list[Row]:
    """On one core, from the bytes that stand in the logs."""
    return [*_speed(), *_states()]


def _entries(reward: int, agreeing: int) -> list[Entry]:
    """Entries of VERDICTS over 10,000 nodes, each with 500 verdicts."""
    node, made = count(), []
    for at in range(_ENTRIES):
        lines = [
            encode(
                Verdict(
                    task=f"client-{line % 50}.t{at}-{line}",
                    status="verified",
                    output=b"42",
                    output_digest="0" * 64,
                    output_size=2,
                    agree=tuple(f"node-{next(node) % _NODES}" for _ in range(agreeing)),
                    evidence=((at + 1, line),) * agreeing,
                    spec="1" * 64,
                    module="2" * 64,
                    input="3" * 64,
                    trace="4" * 64,
                    attempts=1,
                    fuel=12_345,
                    reward=reward,
                    energy_j=0.012 * agreeing,
                    energy_method="estimated:tdp",
                    energy_each=((0.012, "estimated:tdp"),) * agreeing if agreeing > 1 else (),
                    source=(at + 1, line),
                )
            )
            for line in range(_BATCH)
        ]
        made.append(Entry(at + 1, _JULY_MS, "v", _WHO.seal(VERDICTS, lines)))
    return made


def _speed() -> list[Row]:
    found = {}
    for name, reward, agreeing in (
        ("one node, with reward", 100, 1),
        ("three nodes agree, with reward", 100, 3),
        ("one node, without reward", 0, 1),
    ):
        entries = _entries(reward, agreeing)
        rates = []
        for _ in range(3):
            ledger = Ledger()
            begun = time.process_time()
            for entry in entries:
                ledger.fold_verdicts(entry)
            rates.append(_ENTRIES * _BATCH / (time.process_time() - begun))
        found[name] = median_of(rates)
    return [
        Row(
            name=f"verdicts folded: {name}",
            value=rate,
            unit="verdicts/s",
            better="higher",
            aim=100_000 if "three" not in name else None,
            floor=50_000 if "three" not in name else None,
        )
        for name, rate in found.items()
    ]


def _states() -> list[Row]:
    gc.collect()
    tracemalloc.start()
    ledger = Ledger()
    for at in range(_ACCOUNTS):
        order = Credit(cluster="home", id=f"d{at}", account=f"client/client-{at}", amount=at + 1)
        ledger.accounts.receive(order.account, order.amount)
    ledger.fold_anchors(Entry(1, 0, "a", encode(sign(order, _WHO))))
    begun = time.process_time()
    whole = ledger.seal()
    whole_s = time.process_time() - begun
    ledger.fold_anchors(Entry(2, 0, "a", whole.line))
    gc.collect()
    weight = tracemalloc.get_traced_memory()[0] / _ACCOUNTS
    tracemalloc.stop()
    for at in range(_NODES):
        ledger.accounts.receive(f"client/client-{at * 7 % _ACCOUNTS}", 1)
    begun = time.process_time()
    next_ = ledger.seal()
    changed_s = time.process_time() - begun
    names = [f"client/client-{at * 331}" for at in range(_PROOFS)]
    begun = time.process_time()
    proofs = [balance_proof(next_, name) for name in names]
    made_s = time.process_time() - begun
    begun = time.process_time()
    for proof in proofs:
        check(proof, committed=next_.commitment)
    checked_s = time.process_time() - begun
    accounts = f"{_ACCOUNTS:,} accounts"
    return [
        Row(name="memory of an account with its leaf", value=weight, unit="bytes", aim=1000, floor=2000, note=accounts),
        Row(name="first state", value=whole_s * 1000, unit="ms", note=f"{accounts}; traced for memory, so slower"),
        Row(name="next state", value=changed_s * 1000, unit="ms", aim=200, floor=1000, note=f"{_NODES:,} of {accounts} moved"),
        Row(name="a proof made", value=made_s / _PROOFS * 1e6, unit="µs", aim=100, floor=1000, note=accounts),
        Row(name="a proof checked", value=checked_s / _PROOFS * 1e6, unit="µs", aim=200, floor=2000, note=accounts),
        Row(name="a proof", value=median_of([len(each) for each in proofs]), unit="bytes", aim=2048, floor=4096, note=f"{accounts}, with the state's line"),
    ]  # fmt: skip
