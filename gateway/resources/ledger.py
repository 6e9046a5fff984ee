"""The ledger: balances and their proofs, purses, and energy by month."""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["Balance", "Energy", "LedgerSummary", "NodeEnergy", "ProofDocument"]


class ProofDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A proof for `ledger.proof`, which takes it as it is spelt, byte for byte: see docs/ledger.md."""

    format: str
    name: str
    path: str
    state: str
    leaf: str = ""
    neighbour: dict[str, str] = {}


class Balance(Struct, frozen=True, kw_only=True):
    """What an account (`client/<name>`, `node/<name>`) received and gave, in msat, with VERDICTS folded up to `verdicts`.

    `held` is set aside for tasks without a verdict and `free` may be offered (clients only). The proof is at `…/proof`.
    """

    account: str
    received: Count
    given: Count
    balance: int
    verdicts: Count
    epoch: Count
    held: Count | None = None
    free: int | None = None


class LedgerSummary(Struct, frozen=True, kw_only=True):
    """The newest state of the ledger that was sealed into ANCHORS; all 0 before the first."""

    epoch: Count = 0
    verdicts: Count = 0
    at_ms: Count = 0
    accounts: Count = 0
    accounts_root: str = ""
    energy_root: str = ""
    burns_root: str = ""
    credited: Count = 0
    burned: Count = 0


class Energy(Struct, frozen=True, kw_only=True):
    """What the work of an account took in a month: counted results, fuel of those that agreed, microjoules by how the energy is known."""

    account: str
    month: str
    results: Count
    fuel: Count
    energy_uj: dict[str, int]
    epoch: Count


class NodeEnergy(Struct, frozen=True, kw_only=True):
    """The energy counters that the nodes report: joules since each started, and by method."""

    nodes: Count
    energy_j: float
    by_method: dict[str, float]
    watts: float
