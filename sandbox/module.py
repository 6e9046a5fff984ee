"""What a module is, told from its bytes alone, and whether this sandbox can run it.

Guarantees: no engine is loaded (the coordinator admits modules with this), arbitrary bytes give a report or an
`UnfitModule`, and what `admit` accepts has only known imports of the right type, an entry that exists, and
arguments that fit. It does not validate code; a module that passes here can still be refused by the engine, which
is then the deterministic outcome `failed/invalid`.
"""

import hashlib
import struct
from typing import Literal

import msgspec

from sandbox.abi import CRYPTO, HOST_FUNCTIONS, WASI
from sandbox.errors import MalformedModule, UnfitModule
from sandbox.job import COMMAND_ENTRY, MEMORY_MB_MAX, MIB
from sandbox.numbers import NUMBER_TYPES, parse_arguments
from sandbox.reader import FuncType, Limits, RawImport, Sections, read_sections

PAGE_BYTES = 65_536
INPUT_BYTES_MAX = 64 * MIB
"""Standard input is held in memory by the node while the guest runs."""
ARGUMENT_BYTES_MAX = 128 * 1024
"""All of a command's arguments and environment together (Linux allows 128 KiB for one)."""
TABLE_ELEMENTS_MAX = 100_000
TABLES_MAX = 8
DATA_COUNT_SECTION = 12
TAG_SECTION = 13


class Import(msgspec.Struct, frozen=True):
    """One import; `type` only for functions."""

    module: str
    """The module that it is imported from."""
    name: str
    """Its name there."""
    kind: str
    """`function`, `memory`, `table`, `global` or `tag`."""
    type: FuncType | None = None
    """The signature of a function; null of anything else."""


class ModuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes say about themselves."""

    digest: str
    """SHA-256 of the module, hexadecimal."""
    size: int
    """In bytes."""
    kind: Literal["command", "functions"]
    """Whether it is a WASI command, with `_start`, or a library of functions."""
    imports: list[Import]
    """All of them."""
    functions: dict[str, FuncType]
    """Exported functions."""
    exports: dict[str, str]
    """Every export's name and kind."""
    memory: Limits | None
    """The first memory, in pages of 64 KiB, own or imported."""
    memories: int
    """How many it has."""
    memory_exported: bool
    """Whether it is exported as `memory`, which host calls need."""
    tables: list[Limits]
    """In elements."""
    function_count: int
    """Functions that it defines."""
    has_start: bool
    """Whether it has a start function, which runs before anything is called."""
    has_tags: bool
    """Whether it defines exception tags."""
    features: list[str]
    """Proposals seen to be used, as far as sections tell (SIMD inside code is told only by `target_features`)."""


def inspect(wasm: bytes) -> ModuleReport:
    """Read a module's bytes into a report.

    Raises:
        MalformedModule: not a core module in the binary format, or over a limit of `sandbox.reader`.
    """
    sections = read_sections(wasm)
    imported = [_function_type(sections, entry) for entry in sections.imports if entry.kind == "function"]
    exports: dict[str, str] = {}
    functions: dict[str, FuncType] = {}
    for export in sections.exports:
        if export.name in exports:
            raise MalformedModule(f"exports {export.name!r} twice")
        exports[export.name] = export.kind
        if export.kind == "function":
            functions[export.name] = _resolve(sections, imported, export.index)
    memories = [e.limits for e in sections.imports if e.kind == "memory" and e.limits] + sections.memories
    tables = [e.limits for e in sections.imports if e.kind == "table" and e.limits] + sections.tables
    return ModuleReport(
        digest=hashlib.sha256(wasm).hexdigest(),
        size=len(wasm),
        kind="command" if COMMAND_ENTRY in functions else "functions",
        imports=[_import(sections, entry) for entry in sections.imports],
        functions=functions,
        exports=exports,
        memory=memories[0] if memories else None,
        memories=len(memories),
        memory_exported=exports.get("memory") == "memory",
        tables=tables,
        function_count=len(sections.functions),
        has_start=sections.start is not None,
        has_tags=TAG_SECTION in sections.seen,
        features=_features(sections, memories),
    )


def _function_type(sections: Sections, entry: RawImport) -> FuncType:
    return sections.types[entry.type_index]


def _import(sections: Sections, entry: RawImport) -> Import:
    of_type = _function_type(sections, entry) if entry.kind == "function" else None
    return Import(module=entry.module, name=entry.name, kind=entry.kind, type=of_type)


def _resolve(sections: Sections, imported: list[FuncType], index: int) -> FuncType:
    if index < len(imported):
        return imported[index]
    own = index - len(imported)
    if own >= len(sections.functions):
        raise MalformedModule(f"exports function {index}, which does not exist")
    return sections.types[sections.functions[own]]


def _features(sections: Sections, memories: list[Limits]) -> list[str]:
    found = set(sections.target_features)
    if any(len(t.results) > 1 for t in sections.types):
        found.add("multivalue")
    if any("externref" in t.params + t.results for t in sections.types) or len(sections.tables) > 1:
        found.add("reference-types")
    if any("v128" in t.params + t.results for t in sections.types):
        found.add("simd128")
    if any(m.shared for m in memories):
        found.add("threads")
    if any(m.is_64 for m in memories):
        found.add("memory64")
    if len(memories) > 1:
        found.add("multimemory")
    if DATA_COUNT_SECTION in sections.seen:
        found.add("bulk-memory")
    if TAG_SECTION in sections.seen:
        found.add("exception-handling")
    return sorted(found)


def admit(report: ModuleReport, entry: str, args: list[str | int | float], input_size: int = 0) -> None:
    """Refuse what could not run, naming the field at fault.

    Args:
        report: of the module.
        entry: `_start` or an exported function's name.
        args: the task's arguments.
        input_size: bytes of standard input.

    Raises:
        UnfitModule: with `field` one of `module`, `entry`, `args`, `input`.
    """
    admit_module(report)
    admit_call(report, entry, args, input_size)


def admit_module(report: ModuleReport) -> None:
    """The part of `admit` that depends on the module alone."""
    for each in report.imports:
        _admit_import(each)
    _admit_memory(report)
    _admit_tables(report)


def admit_call(report: ModuleReport, entry: str, args: list[str | int | float], input_size: int = 0) -> None:
    """The part of `admit` that depends on the task."""
    if input_size > INPUT_BYTES_MAX:
        raise UnfitModule("input", f"has {input_size} bytes, at most {INPUT_BYTES_MAX} are accepted")
    signature = _admit_entry(report, entry)
    if entry == COMMAND_ENTRY:
        check_command_args(args, {})
    else:
        parse_arguments(signature.params, args)


def _admit_import(each: Import) -> None:
    name = f"{each.module}.{each.name}"
    expected = HOST_FUNCTIONS.get((each.module, each.name))
    if expected is None or each.kind != "function":
        raise UnfitModule(
            "module",
            f"imports the {each.kind} {name}, which this sandbox does not offer; "
            f"a guest may import only functions of {WASI} (no sockets, no signals) and {CRYPTO}",
        )
    actual = each.type or FuncType()
    if (actual.params, actual.results) != expected:
        wanted = FuncType(params=expected[0], results=expected[1])
        raise UnfitModule("module", f"imports {name} as {actual}, but it is {wanted}")


def _admit_memory(report: ModuleReport) -> None:
    memory = report.memory
    if report.memories > 1:
        raise UnfitModule("module", f"has {report.memories} memories, at most 1 is supported")
    if memory is not None and memory.shared:
        raise UnfitModule("module", "has a shared memory (threads); build it for a single thread")
    if memory is not None and memory.is_64:
        raise UnfitModule("module", "has a 64-bit memory; build it for wasm32")
    if memory is not None and memory.minimum * PAGE_BYTES > MEMORY_MB_MAX * MIB:
        raise UnfitModule(
            "module", f"asks for {memory.minimum} pages of memory at once, more than wasm32 has", "memory"
        )
    if report.imports and not report.memory_exported:
        raise UnfitModule(
            "module", "calls the host but does not export its memory as 'memory', so no call could work"
        )
    if report.has_tags:
        raise UnfitModule(
            "module", "throws exceptions (tags), which are not supported; build it without them"
        )


def _admit_tables(report: ModuleReport) -> None:
    if len(report.tables) > TABLES_MAX:
        raise UnfitModule(
            "module", f"has {len(report.tables)} tables, at most {TABLES_MAX} are accepted", "table"
        )
    for table in report.tables:
        if table.minimum > TABLE_ELEMENTS_MAX:
            raise UnfitModule(
                "module",
                f"has a table of {table.minimum} elements, at most {TABLE_ELEMENTS_MAX} are accepted",
                "table",
            )


def _admit_entry(report: ModuleReport, entry: str) -> FuncType:
    signature = report.functions.get(entry)
    if signature is None:
        known = ", ".join(sorted(report.functions)[:10]) or "none"
        raise UnfitModule("entry", f"the module exports no function {entry!r} (it exports: {known})")
    if entry == COMMAND_ENTRY and (signature.params or signature.results):
        raise UnfitModule("entry", f"{entry} must take and return nothing, but it is {signature}")
    for value in signature.params + signature.results:
        if value not in NUMBER_TYPES:
            raise UnfitModule(
                "entry", f"{entry} is {signature}; only {', '.join(NUMBER_TYPES)} can be passed"
            )
    return signature


def check_command_args(args: list[str | int | float], env: dict[str, str]) -> list[bytes]:
    """A command's arguments as the bytes it will see (without terminators), its name not included.

    Raises:
        UnfitModule: a NUL byte, a lone surrogate, or more than `ARGUMENT_BYTES_MAX` in all.
    """
    try:
        encoded = [(a if isinstance(a, str) else repr(a)).encode() for a in args]
        pairs = [f"{key}={value}".encode() for key, value in env.items()]
    except UnicodeEncodeError:
        raise UnfitModule("args", "an argument or environment variable is not valid Unicode text") from None
    if any(b"\0" in each for each in encoded + pairs):
        raise UnfitModule("args", "an argument or environment variable contains a NUL character")
    total = sum(len(each) + 1 for each in encoded + pairs)
    if total > ARGUMENT_BYTES_MAX:
        raise UnfitModule(
            "args", f"arguments and environment take {total} bytes, at most {ARGUMENT_BYTES_MAX} do"
        )
    return encoded


def to_wasm(data: bytes) -> bytes:
    """The binary of a module given as binary or as WebAssembly text.

    Raises:
        MalformedModule: the text does not parse; the message carries line and column.
    """
    if data[:1] == b"\0" or not data:
        return bytes(data)
    from wasmtime import WasmtimeError, wat2wasm  # noqa: PLC0415 - only text needs the engine's library

    try:
        return bytes(wat2wasm(data))
    except (WasmtimeError, UnicodeDecodeError, struct.error) as error:
        raise MalformedModule(f"is neither a WebAssembly binary nor valid text: {error}") from None
