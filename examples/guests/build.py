"""Rebuild the example guests: ``python -m examples.guests.build [--check] [NAME ...]``.

Guarantees: the same sources give the same bytes on any machine and in any folder, because the compilers are pinned
and the sources are named by paths relative to a fresh folder. ``--check`` writes nothing; it compares what it builds
with what is committed (modules and the README's table) and exits 1 naming each difference.

Needs the packages ``ziglang`` (C) and ``wasmtime`` (WAT) in the versions below; Go modules are built only where a
``go`` command exists, and are not committed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import wasmtime

from examples.guests.recipes import MISBEHAVING, RECIPES, WELL_BEHAVED, Recipe

__all__ = ["HERE", "ZIGLANG_VERSION", "BuildError", "build_guest", "main", "render_table"]

HERE = Path(__file__).resolve().parent

ZIGLANG_VERSION = "0.17.1"
"""The compiler the committed modules were built with: another one gives other bytes."""

COMPILE_TIMEOUT_S = 300
"""A first build also compiles the C library, which takes half a minute on a slow machine."""

C_FLAGS = ("-target", "wasm32-wasi", "-std=c11", "-s", "-Wall", "-Wextra", "-Werror")
TABLE_START, TABLE_END = "<!-- table: build.py writes it -->\n", "<!-- end of table -->\n"


class BuildError(Exception):
    """A guest could not be built; the message says which and what to do."""


def build_guest(recipe: Recipe, root: Path = HERE) -> bytes:
    """Build one guest from the sources below ``root`` and return the module's bytes.

    Raises:
        BuildError: the compiler is missing, of another version, or refused the sources.
    """
    if recipe.language == "WAT":
        return _build_wat(recipe, root)
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "guest.wasm"
        if recipe.language == "C":
            _require_ziglang()
            command = [sys.executable, "-m", "ziglang", "cc", *C_FLAGS, *recipe.flags, *recipe.sources]
            _compile(recipe, [*command, "-o", str(module)], cwd=root, env={})
        else:
            # -buildid= and -trimpath: neither folders nor link times may reach the module.
            command = ["go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", str(module), "."]
            _compile(recipe, command, cwd=root / recipe.name, env={"GOOS": "wasip1", "GOARCH": "wasm"})
        return module.read_bytes()


def _build_wat(recipe: Recipe, root: Path) -> bytes:
    try:
        return bytes(wasmtime.wat2wasm((root / recipe.sources[0]).read_text("utf-8")))
    except wasmtime.WasmtimeError as error:
        raise BuildError(f"{recipe.name}: correct {recipe.sources[0]}: {error}") from error


def _require_ziglang() -> None:
    try:
        found = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError as error:
        raise BuildError(f"C guests need the compiler: pip install ziglang=={ZIGLANG_VERSION}") from error
    if found != ZIGLANG_VERSION:
        raise BuildError(f"ziglang is {found}, other than the pinned {ZIGLANG_VERSION}: install that version")


def _compile(recipe: Recipe, command: list[str], *, cwd: Path, env: dict[str, str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 (the command is built from the recipes above)
            command,
            cwd=cwd,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{recipe.name}: {command[0]} did not run to its end: {error}") from error
    if done.returncode:
        raise BuildError(f"{recipe.name}: correct the source; the compiler says:\n{done.stderr.strip()}")


def render_table(recipes: Sequence[Recipe], sizes: dict[str, int]) -> str:
    """Markdown rows for ``recipes``; ``sizes`` maps a recipe's name to its module's size in bytes."""
    rows = ["| guest | language | entry | input | output | bytes |", "|---|---|---|---|---|---|"]
    for recipe in recipes:
        size = f"{sizes[recipe.name]:,}" if recipe.committed else "not committed"
        cells = (f"`{recipe.name}`", recipe.language, recipe.entry, recipe.takes, recipe.gives, size)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _readme(modules: dict[str, bytes]) -> str:
    sizes = {name: len(module) for name, module in modules.items()}
    before, _, rest = (HERE / "README.md").read_text("utf-8").partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    tables = f"\n{render_table(WELL_BEHAVED, sizes)}\nMisbehaving:\n\n{render_table(MISBEHAVING, sizes)}\n"
    return before + TABLE_START + tables + TABLE_END + after


def _differences(wanted: dict[Path, bytes]) -> list[str]:
    return [
        str(path.relative_to(HERE))
        for path, content in wanted.items()
        if not path.exists() or path.read_bytes() != content
    ]


def _outputs(recipes: Sequence[Recipe]) -> dict[Path, bytes]:
    """Every file these recipes decide, with the content it should have."""
    built = {
        recipe.name: build_guest(recipe, HERE) for recipe in recipes if recipe.committed or shutil.which("go")
    }
    outputs = {HERE / f"{name}.wasm": module for name, module in built.items()}
    if set(recipes) == set(RECIPES):
        outputs[HERE / "README.md"] = _readme(built).encode()
    return outputs


def main(argv: Sequence[str] | None = None) -> int:
    """Build or check the guests; returns the exit status (0 done, 1 different or not buildable)."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.guests.build", description="Rebuild the guests."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="guests to build (all, if none is named)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming what differs")
    options = parser.parse_args(argv)
    known = {recipe.name: recipe for recipe in RECIPES}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no guest is called {', '.join(unknown)}; there are: {', '.join(known)}")
    recipes = [known[name] for name in options.names] or list(RECIPES)
    try:
        outputs = _outputs(recipes)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        committed = {HERE / recipe.module for recipe in recipes if recipe.committed} | {HERE / "README.md"}
        different = _differences({path: content for path, content in outputs.items() if path in committed})
        for name in different:
            print(f"{name} differs from its sources: run python -m examples.guests.build", file=sys.stderr)
        return 1 if different else 0
    for path, content in outputs.items():
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
