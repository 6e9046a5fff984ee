"""`python -m tests.chaos`: a real cluster, real faults, and then the proof from what is left. Exits 0 only if all of it holds.

python -m tests.chaos --seconds 300 --seed 7      five minutes of faults, the same for a seed
python -m tests.chaos --seconds 60 --servers 3    on three NATS servers
python -m tests.chaos --seconds 60 --keep DIR     leave what was stored, journals and logs in DIR, whatever came of it
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ambient.logs import keep_quiet
from tests.chaos.means import own_mounts
from tests.chaos.plan import draw
from tests.chaos.run import run
from tests.chaos.world import CLUSTER

__all__ = ["main"]

_PORT = 4333


def main() -> int:
    """Do what the command line says."""
    asked = _arguments()
    keep_quiet()
    logging.getLogger().addHandler(logging.NullHandler())
    plan = draw(asked.seed, asked.seconds, asked.servers)
    no_disks = own_mounts()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="ambient-chaos-"))
    command = (
        f"python -m tests.chaos --seed {asked.seed} --seconds {asked.seconds:g} --servers {asked.servers}"
    )
    _say(f"seed {plan.seed}: {len(plan.faults)} faults in {plan.seconds:g} s; again with `{command}`")
    try:
        outcome = asyncio.run(
            run(plan, folder, no_disks=no_disks, pace_s=asked.pace_s, settle_s=asked.settle_s, say=_say)
        )
    except BaseException:
        _say(f"\nthe run itself failed, and proves nothing; what was stored, logs and journals: {folder}")
        raise
    if outcome.holds and asked.keep is None:
        shutil.rmtree(folder)
        return 0
    _say(f"\nwhat was stored, logs and journals: {folder}")
    _say(
        f"  serve it:      ambient {_server(plan.servers)} --data {folder / 'cluster'} --cluster {CLUSTER} --port {_PORT}"
    )
    _say(f"  and audit it:  ambient audit --nats nats://127.0.0.1:{_PORT} --cluster {CLUSTER}")
    _say(f"  the same plan: {command}")
    return 0 if outcome.holds else 1


def _server(servers: int) -> str:
    """What serves the stored logs and, where one server is all that is needed, writes nothing."""
    return "server" if servers == 1 else f"up --servers {servers} --nodes 0"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults go on (default: 60)")
    parser.add_argument(
        "--seed",
        type=int,
        default=int(time.time()) % 100_000,
        help="of the plan (default: another each time)",
    )
    parser.add_argument("--servers", type=int, choices=(1, 3), default=1, help="NATS servers (default: 1)")
    parser.add_argument("--keep", type=Path, help="folder, empty or new, in which everything is left")
    parser.add_argument(
        "--pace-s", type=float, default=0.15, help="between two submissions of a client (default: 0.15)"
    )
    parser.add_argument(
        "--settle-s", type=float, default=180.0, help="how long the last verdicts may take (default: 180)"
    )
    asked = parser.parse_args()
    if asked.keep is not None and asked.keep.exists() and any(asked.keep.iterdir()):
        parser.error(f"--keep {asked.keep}: is not empty; choose another folder")
    return asked


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- its output


if __name__ == "__main__":
    sys.exit(main())
