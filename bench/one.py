"""`python -m bench.one SUITE FILE`: measure one suite in this process, and write its rows to FILE."""

import importlib
import json
import sys
from pathlib import Path

from bench.rows import as_dicts

if __name__ == "__main__":
    rows = importlib.import_module(f"bench.{sys.argv[1]}").main()
    Path(sys.argv[2]).write_text(json.dumps(as_dicts(rows)))
