"""Both kinds of receipt, told apart by their first section: of a verdict, and of an account of the ledger."""

from anchor.receipt import account, container
from anchor.receipt.account_check import AccountReport, check_account_receipt
from anchor.receipt.check import Report, check_receipt
from anchor.receipt.demands import Demands
from anchor.receipt.file import read_sections

__all__ = ["check_any"]


def check_any(data: bytes, demands: Demands | None = None) -> Report | AccountReport:
    """Check a receipt's bytes, of whichever kind. Raises `Malformed` or `LinkBroken`."""
    sections = read_sections(data)
    asked = demands or Demands()
    if sections and sections[0][0] == "account":
        return check_account_receipt(account.of_sections(sections), asked)
    return check_receipt(container.of_sections(sections), asked)
