#!/usr/bin/env python3
"""Checks the dashboard's JavaScript: `make check` runs it. Needs no node; where there is one, it also parses each file.

Guarantees that each import names a file that is there and a name that it exports, that every module is used and every export imported, and that
nothing is written that the Content-Security-Policy would refuse: markup out of text, code out of text, style in attributes.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["problems"]

STATIC = Path(__file__).parent.parent / "gateway" / "dashboard" / "static"
_IMPORT = re.compile(r'^import\s+(?:\{([^}]*)\}|\*\s+as\s+(\w+))\s+from\s+"([^"]+)";', re.MULTILINE)
_ANY_IMPORT = re.compile(r"^import\b.*$|\bimport\(", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?:async\s+)?(?:function|const|class|let)\s+(\w+)", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export\s+\{([^}]*)\};", re.MULTILINE)
_FORBIDDEN = {
    r"\b(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write": "text must not become markup: make elements with `h`",
    r"\beval\(|new Function\(|setTimeout\(\s*[\"'`]": "text must not become code",
    r"setAttribute\(\s*[\"']style[\"']|\bstyle:\s*[\"'`]": "the policy refuses style attributes: set `element.style.…`",
    r"https?://(?!www\.w3\.org/)": "nothing comes from another host",
    r"\bdebugger\b|console\.log\(": "left over from a search for a mistake",
}
_ENTRIES = ("js/main.js", "js/theme.js")
_FOR_ALL = frozenset({"open"})
"""What every page exports; `main.js` takes pages whole."""


class _Module:
    """One file: what it imports, exports, and does with both."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.body = _ANY_IMPORT.sub("", text)
        self.exports = _exported(text)
        self.imports = [(path, self._wanted(names, whole)) for names, whole, path in _IMPORT.findall(text)]
        self.is_odd = len(_ANY_IMPORT.findall(text)) != len(self.imports)

    def _wanted(self, names: str, whole: str) -> set[str]:
        """The names that an import brings; of a whole module those that are used of it."""
        if whole:
            return set(re.findall(rf"\b{whole}\.(\w+)", self.body))
        return {each.strip() for each in names.split(",") if each.strip()}

    def uses(self, name: str, times: int = 1) -> bool:
        return len(re.findall(rf"\b{name}\b", self.body)) >= times


def problems(folder: Path = STATIC) -> list[str]:
    """What is wrong in the modules below `folder`, a line each."""
    modules = {
        path.relative_to(folder).as_posix(): _Module(path.relative_to(folder).as_posix(), path.read_text())
        for path in sorted(folder.rglob("*.js"))
    }
    used: dict[str, set[str]] = {name: set() for name in modules}
    reached = set(_ENTRIES)
    found = []
    for name, module in modules.items():
        if module.is_odd:
            found.append(f"{name}: an import that is not written as the others are")
        found += _written(module)
        for path, wanted in module.imports:
            there = (folder / name).parent.joinpath(path).resolve().relative_to(folder.resolve()).as_posix()
            if there not in modules:
                found.append(f"{name}: imports {path}, which is not there")
                continue
            reached.add(there)
            used[there] |= wanted
            exports = modules[there].exports
            found += [f"{name}: {path} exports no {each}" for each in sorted(wanted - exports)]
            found += [f"{name}: does not use {each}" for each in sorted(wanted) if not module.uses(each)]
    found += [f"{name}: nothing imports it" for name in modules if name not in reached]
    # What its own module uses, too, may be exported for a test.
    found += [
        f"{name}: nothing uses {each}"
        for name, module in modules.items()
        for each in sorted(module.exports - used[name] - _FOR_ALL)
        if not module.uses(each, times=2)
    ]
    return found


def _written(module: _Module) -> list[str]:
    """What the Content-Security-Policy would refuse, and what was left over."""
    return [
        f"{module.name}:{module.text[: match.start()].count(chr(10)) + 1}: {says}"
        for pattern, says in _FORBIDDEN.items()
        for match in re.finditer(pattern, module.text)
    ]


def _exported(text: str) -> set[str]:
    listed = ",".join(_EXPORT_LIST.findall(text)).split(",")
    return set(_EXPORT.findall(text)) | {each.strip() for each in listed if each.strip()}


def _parsed(node: str) -> list[str]:
    """What node says of each file."""
    found = []
    for path in sorted(STATIC.rglob("*.js")):
        done = subprocess.run(  # noqa: S603 -- node, on our own files
            [node, "--check", "--input-type=module"],
            input=path.read_bytes(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            found.append(f"{path.name}: {done.stderr.decode(errors='replace').strip()}")
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = problems()
    node = shutil.which("node")
    if node is None:
        print("no node on PATH: the dashboard's files are not parsed, only their imports are checked")  # noqa: T201
    else:
        found += _parsed(node)
    for each in found:
        print(each)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
