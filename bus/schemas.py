"""The published face of the contract: JSON Schemas and an AsyncAPI document, written from the message types.

Guarantees that what is in `docs/` says what the code reads: `python -m bus.schemas` writes it, `--check` compares it. The output is a
function of the types alone, so it is the same on every machine. What JSON Schema cannot say (a majority, one input
or the other) is in the descriptions, and in the decoder.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bus import messages
from bus.asyncapi import document
from bus.signing import Envelope

__all__ = ["DOCS", "files", "main", "message_types", "structs"]

DOCS = Path(__file__).resolve().parent.parent / "docs"
"""Where the files are kept; a checkout has it, an installation does not need it."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LOCAL = "#/$defs/{name}"
_REFERENCE = re.compile(r'"\$ref":"#/\$defs/(\w+)"')

Schema = dict[str, Any]


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every type of the contract by name: the messages, what they are made of, and the envelope."""
    found: list[Any] = [getattr(messages, name) for name in messages.__all__]
    kept: list[type[msgspec.Struct]] = [
        kind for kind in found if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    kept.append(Envelope)
    # By the types' own names: `Work` is another name of the only kind of work, not another type.
    return {kind.__name__: kind for kind in kept}


def message_types() -> dict[str, type[msgspec.Struct]]:
    """The types that travel as a line of their own: all that no other type contains."""
    components = _components()
    parts = {part for name, schema in components.items() for part in _references(schema) if part != name}
    return {name: kind for name, kind in structs().items() if name not in parts}


def _components() -> dict[str, Schema]:
    _, components = msgspec.json.schema_components(structs().values(), ref_template=_LOCAL)
    return {name: _readable(schema) for name, schema in sorted(components.items())}


def _readable(node: Any) -> Any:
    """Descriptions as flowing text: in a docstring lines end where the editor ends, not where a thought does."""
    if isinstance(node, Mapping):
        return {
            key: _flow(value) if key == "description" and isinstance(value, str) else _readable(value)
            for key, value in node.items()
            # OpenAPI's keyword: JSON Schema ignores it, and AsyncAPI means something else by it.
            if not (key == "discriminator" and isinstance(value, Mapping) and "mapping" in value)
        }
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_readable(item) for item in node]
    return node


def _flow(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _references(schema: Schema) -> set[str]:
    return set(_REFERENCE.findall(msgspec.json.encode(schema).decode()))


def _closure(name: str, components: Mapping[str, Schema]) -> set[str]:
    """Every type that `name` is made of, itself left out."""
    reached: set[str] = set()
    open_names = {name}
    while open_names:
        found = {part for each in open_names for part in _references(components[each])}
        open_names = found - reached
        reached |= found
    return reached - {name}


def _schema(name: str, components: Mapping[str, Schema]) -> Schema:
    """One message's schema, complete in itself: a stranger copies one file."""
    schema: Schema = {"$schema": _DIALECT, "$id": f"urn:ambient-vcp:{name}", **components[name]}
    if parts := sorted(_closure(name, components)):
        schema["$defs"] = {part: components[part] for part in parts}
    return schema


def _text(value: Schema) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def files() -> dict[str, bytes]:
    """The content of every generated file, by its path under `docs/`."""
    components = _components()
    written = {f"schemas/{name}.json": _text(_schema(name, components)) for name in sorted(message_types())}
    written["asyncapi.json"] = _text(document(message_types()))
    return written


def _differing(docs: Path) -> list[str]:
    """What is not as the types say: changed, missing, or there although no type asks for it."""
    expected = files()
    there = {f"schemas/{path.name}" for path in (docs / "schemas").glob("*.json")}
    changed = [
        name
        for name, content in expected.items()
        if not (docs / name).exists() or (docs / name).read_bytes() != content
    ]
    return sorted({*changed, *(there - expected.keys())})


def _write(docs: Path) -> None:
    expected = files()
    (docs / "schemas").mkdir(parents=True, exist_ok=True)
    for name in _differing(docs):
        if name in expected:
            (docs / name).write_bytes(expected[name])
        else:
            (docs / name).unlink()


def main(arguments: Sequence[str], docs: Path = DOCS) -> int:
    """Write the files, or with `--check` name those that differ and return 1."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m bus.schemas [--check]\n")
        return 2
    if not arguments:
        _write(docs)
        return 0
    differing = _differing(docs)
    for name in differing:
        sys.stderr.write(f"docs/{name} is not what the message types say: run `python -m bus.schemas`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
