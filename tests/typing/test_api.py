"""The public API as a type checker sees it."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_the_samples_of_the_public_api_are_typed_strictly() -> None:
    """`api.py` holds under `mypy --strict`, its two deliberate mistakes included: users get types and typos are found."""
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", str(HERE / "api.py")]
    checked = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=120, check=False
    )

    assert checked.returncode == 0, checked.stdout
