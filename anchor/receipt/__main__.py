"""`python -m anchor.receipt FILE`: the check of a receipt where nothing else of the project is installed.

Exits 0 only if every link and every demand holds, 1 where one does not, 2 where there is nothing to check.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from anchor.receipt.errors import Malformed, ReceiptError
from anchor.receipt.kinds import check_any
from anchor.receipt.trust import demands_of

__all__ = ["main"]

_BROKEN, _USAGE = 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m anchor.receipt", description="Check a receipt, offline.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--task", help="the task that it must be of, CLIENT.ID")
    parser.add_argument("--account", help="the account that it must be of, client/NAME or node/NAME")
    parser.add_argument(
        "--verifier-key", action="append", default=[], help="a key that may sign verdicts, in hex"
    )
    parser.add_argument(
        "--log-key", action="append", default=[], help="a log's key that you trust, as a vkey"
    )
    parser.add_argument("--witness", action="append", default=[], help="a witness that you trust, as a vkey")
    parser.add_argument("--witnesses", type=int, default=0, help="how many of them must have cosigned")
    parser.add_argument("--headers", type=Path, help="file of the headers that you follow, 80 bytes each")
    parser.add_argument(
        "--network", help="the chain that the block must be of: main, testnet4, signet, regtest"
    )
    parser.add_argument("--work", type=int, default=0, help="the least work, as a power of two")
    parser.add_argument("--final", action="store_true", help="there must be a block")
    parser.add_argument("--evidence", action="store_true", help="every counted result must be shown")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one file and say what it shows."""
    asked = _parser().parse_args(arguments)
    try:
        data = asked.file.read_bytes()
        demands = demands_of(
            task=asked.task,
            account=asked.account,
            verifier_keys=asked.verifier_key,
            log_keys=asked.log_key,
            witnesses=asked.witness,
            quorum=asked.witnesses,
            headers=asked.headers.read_bytes() if asked.headers else None,
            network=asked.network,
            work_bits=asked.work,
            final=asked.final,
            evidence=asked.evidence,
        )
    except (OSError, Malformed) as error:
        sys.stderr.write(f"error: {error}\n")
        return _USAGE
    try:
        report = check_any(data, demands)
    except ReceiptError as error:
        sys.stderr.write(f"broken: {error}\n")
        return _BROKEN
    sys.stdout.writelines(f"proven    {each}\n" for each in report.proven)
    sys.stdout.writelines(f"unproven  {each}\n" for each in report.unproven)
    return 0


if __name__ == "__main__":
    sys.exit(main())
