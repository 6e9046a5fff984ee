"""Proofs as files: what the newest state of a ledger says of one account, for `ledger.proof` to check anywhere."""

from ledger.book import Sealed, energy_name
from ledger.proof import pack_path, spelt
from ledger.tree import Tree

__all__ = ["balance_proof", "energy_proof"]


def balance_proof(sealed: Sealed, account: str) -> bytes:
    """That the account holds what its leaf says, or that there is no such account, in this state."""
    return _document("ambient-balance/1", account, sealed.accounts, sealed.line)


def energy_proof(sealed: Sealed, account: str, month: str) -> bytes:
    """What an account's month comes to, or that nothing was counted in it, in this state."""
    return _document("ambient-energy/1", energy_name(account, month), sealed.energy, sealed.line)


def _document(kind: str, name: str, tree: Tree, line: bytes) -> bytes:
    siblings, text, neighbour = tree.path(name)
    said: dict[str, object] = {"format": kind, "name": name}
    if text is not None:
        said["leaf"] = text.decode()
    elif neighbour is not None:
        said["neighbour"] = neighbour.said()
    return spelt({**said, "path": pack_path(siblings), "state": line.decode()})
