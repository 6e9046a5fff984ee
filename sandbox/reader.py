"""Reads the WebAssembly binary format, as far as admission needs it.

Guarantees: any bytes give sections or a `MalformedModule`, never another exception; work and memory are bounded by
the named limits below whatever the bytes say. It does not validate code: the engine does that when it compiles.
Source: WebAssembly Core Specification, chapter 5 (Binary Format).
"""

from collections.abc import Callable

import msgspec

from sandbox.errors import MalformedModule

MAGIC = b"\0asm\x01\0\0\0"
MODULE_BYTES_MAX = 64 << 20
"""Larger than any toolchain's output seen (Go: 2 to 20 MB); bounds the time to compile."""
TYPES_MAX = 20_000
FUNCTIONS_MAX = 200_000
"""Go programs have some thousands; the reader's time is linear in it."""
IMPORTS_MAX = 1_000
EXPORTS_MAX = 10_000
VALUES_MAX = 1_000
"""Parameters or results of one function (as the WebAssembly JavaScript API limits them)."""
NAME_BYTES_MAX = 1_024
SECTIONS_MAX = 10_000
BODY_BYTES_MAX = 7_654_321
"""One function's body, the limit of the JavaScript API: a compiler's time is not linear in it."""

VALUE_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}
KINDS = ("function", "table", "memory", "global", "tag")


class Limits(msgspec.Struct, frozen=True):
    """A memory's limits in 64 KiB pages, or a table's in elements."""

    minimum: int
    """At the start."""
    maximum: int | None = None
    """The most; null where none is said."""
    shared: bool = False
    """Whether threads may share it."""
    is_64: bool = False
    """Whether it is addressed by 64 bits."""


class FuncType(msgspec.Struct, frozen=True):
    """A function's signature by value type names (`i32`, `f64`, …)."""

    params: tuple[str, ...] = ()
    """Types of its arguments."""
    results: tuple[str, ...] = ()
    """Types of its results."""

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


class RawImport(msgspec.Struct, frozen=True):
    """An import; `type_index` only for functions, `limits` only for memories and tables."""

    module: str
    name: str
    kind: str
    type_index: int = -1
    limits: Limits | None = None


class RawExport(msgspec.Struct, frozen=True):
    """An export, by its index in the index space of its kind."""

    name: str
    kind: str
    index: int


class Sections(msgspec.Struct):
    """What was read, in the module's own index spaces."""

    types: list[FuncType] = []
    imports: list[RawImport] = []
    functions: list[int] = []
    tables: list[Limits] = []
    memories: list[Limits] = []
    exports: list[RawExport] = []
    start: int | None = None
    bodies: int = 0
    seen: set[int] = set()
    target_features: list[str] = []


class Cursor:
    """A position in the bytes with an end that no read may pass."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            raise MalformedModule(f"ends unexpectedly at byte {self.at}; the file may be cut short")
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, bits: int = 32) -> int:
        """An unsigned LEB128 number of at most `bits` bits (section 5.2.2)."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                break
            shift += 7
            if shift >= bits:
                raise MalformedModule(f"a number at byte {self.at} is longer than {bits} bits")
        if result >> bits:
            raise MalformedModule(f"a number at byte {self.at} is larger than {bits} bits")
        return result

    def count(self, limit: int, what: str) -> int:
        """A vector's length, refused over `limit`."""
        value = self.number()
        if value > limit:
            raise MalformedModule(f"declares {value} {what}, at most {limit} are accepted")
        return value

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        if size > self.end - self.at:
            raise MalformedModule(
                f"a part at byte {self.at} claims {size} bytes, but only {self.end - self.at} follow"
            )
        self.at += size

    def name(self) -> str:
        """A UTF-8 name (section 5.2.4)."""
        size = self.count(NAME_BYTES_MAX, "bytes in a name")
        start = self.at
        self.skip(size)
        try:
            return self.data[start : self.at].decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedModule(f"the name at byte {start} is not UTF-8") from None

    def value_type(self) -> str:
        """A value type that MVP, SIMD or reference types know."""
        code = self.byte()
        if code not in VALUE_TYPES:
            raise MalformedModule(
                f"value type 0x{code:02x} at byte {self.at - 1} is of a proposal not supported here"
            )
        return VALUE_TYPES[code]

    def limits(self) -> Limits:
        """Limits with the flags of the threads and memory64 proposals."""
        flags = self.byte()
        if flags > 7:  # noqa: PLR2004 - bits: maximum, shared, 64-bit
            raise MalformedModule(f"limits with unknown flags 0x{flags:02x} at byte {self.at - 1}")
        bits = 64 if flags & 4 else 32
        minimum = self.number(bits)
        maximum = self.number(bits) if flags & 1 else None
        return Limits(minimum=minimum, maximum=maximum, shared=bool(flags & 2), is_64=bool(flags & 4))

    def table(self) -> Limits:
        """A table's limits, after its element type."""
        self.value_type()
        return self.limits()


def read_sections(wasm: bytes) -> Sections:
    """Read a module's sections.

    Raises:
        MalformedModule: the bytes are not a module, or pass a limit of this reader.
    """
    if len(wasm) > MODULE_BYTES_MAX:
        raise MalformedModule(f"has {len(wasm)} bytes, at most {MODULE_BYTES_MAX} are accepted")
    if wasm[:4] != MAGIC[:4]:
        raise MalformedModule("does not begin with the magic bytes \\0asm; is it a WebAssembly binary?")
    if wasm[:8] != MAGIC:
        raise MalformedModule("is not a core module of version 1 (components are not supported)")
    sections = Sections(
        types=[], imports=[], functions=[], tables=[], memories=[], exports=[], seen=set(), target_features=[]
    )
    at = 8
    for _ in range(SECTIONS_MAX):
        if at == len(wasm):
            return _consistent(sections)
        cursor = Cursor(wasm, at, len(wasm))
        code, size = cursor.byte(), cursor.number()
        begin = cursor.at
        cursor.skip(size)
        _read_section(sections, code, Cursor(wasm, begin, cursor.at))
        at = cursor.at
    raise MalformedModule(f"has more than {SECTIONS_MAX} sections")


def _read_section(sections: Sections, code: int, cursor: Cursor) -> None:
    if code == 0:
        _read_custom(sections, cursor)
        return
    if code in sections.seen:
        raise MalformedModule(f"has section {code} twice")
    sections.seen.add(code)
    reader = _READERS.get(code)
    if reader is None:
        return
    reader(sections, cursor)
    if cursor.at != cursor.end:
        raise MalformedModule(f"section {code} has {cursor.end - cursor.at} bytes too many")


def _read_custom(sections: Sections, cursor: Cursor) -> None:
    # Custom sections carry no meaning for execution: what cannot be read in them is passed over.
    try:
        if cursor.name() == "target_features":
            for _ in range(cursor.count(VALUES_MAX, "target features")):
                cursor.byte()
                sections.target_features.append(cursor.name())
    except MalformedModule:
        return


def _read_types(sections: Sections, cursor: Cursor) -> None:
    for _ in range(cursor.count(TYPES_MAX, "types")):
        form = cursor.byte()
        if form != 0x60:  # noqa: PLR2004 - the function type's form
            raise MalformedModule(f"type form 0x{form:02x} (garbage-collected types) is not supported")
        params = tuple(cursor.value_type() for _ in range(cursor.count(VALUES_MAX, "parameters")))
        results = tuple(cursor.value_type() for _ in range(cursor.count(VALUES_MAX, "results")))
        sections.types.append(FuncType(params=params, results=results))


def _read_imports(sections: Sections, cursor: Cursor) -> None:
    for _ in range(cursor.count(IMPORTS_MAX, "imports")):
        module, name, kind = cursor.name(), cursor.name(), cursor.byte()
        if kind == 0:
            entry = RawImport(module=module, name=name, kind="function", type_index=cursor.number())
        elif kind == 1:
            entry = RawImport(module=module, name=name, kind="table", limits=cursor.table())
        elif kind == 2:  # noqa: PLR2004 - import kinds of section 5.5.5
            entry = RawImport(module=module, name=name, kind="memory", limits=cursor.limits())
        elif kind == 3:  # noqa: PLR2004
            cursor.value_type()
            cursor.byte()
            entry = RawImport(module=module, name=name, kind="global")
        elif kind == 4:  # noqa: PLR2004
            cursor.byte()
            entry = RawImport(module=module, name=name, kind="tag", type_index=cursor.number())
        else:
            raise MalformedModule(f"imports something of unknown kind {kind}")
        sections.imports.append(entry)


def _read_functions(sections: Sections, cursor: Cursor) -> None:
    number = cursor.number
    sections.functions = [number() for _ in range(cursor.count(FUNCTIONS_MAX, "functions"))]


def _read_tables(sections: Sections, cursor: Cursor) -> None:
    for _ in range(cursor.count(VALUES_MAX, "tables")):
        if cursor.at < cursor.end and cursor.data[cursor.at] == 0x40:  # noqa: PLR2004
            raise MalformedModule(
                "has a table with an initialiser (function references), which is not supported"
            )
        sections.tables.append(cursor.table())


def _read_memories(sections: Sections, cursor: Cursor) -> None:
    sections.memories = [cursor.limits() for _ in range(cursor.count(VALUES_MAX, "memories"))]


def _read_exports(sections: Sections, cursor: Cursor) -> None:
    for _ in range(cursor.count(EXPORTS_MAX, "exports")):
        name, kind, index = cursor.name(), cursor.byte(), cursor.number()
        if kind >= len(KINDS):
            raise MalformedModule(f"exports {name!r} of unknown kind {kind}")
        sections.exports.append(RawExport(name=name, kind=KINDS[kind], index=index))


def _read_start(sections: Sections, cursor: Cursor) -> None:
    sections.start = cursor.number()


def _read_bodies(sections: Sections, cursor: Cursor) -> None:
    sections.bodies = cursor.count(FUNCTIONS_MAX, "function bodies")
    for _ in range(sections.bodies):
        size = cursor.count(BODY_BYTES_MAX, "bytes in one function")
        cursor.skip(size)


_READERS: dict[int, Callable[[Sections, Cursor], None]] = {
    1: _read_types,
    2: _read_imports,
    3: _read_functions,
    4: _read_tables,
    5: _read_memories,
    7: _read_exports,
    8: _read_start,
    10: _read_bodies,
}


def _consistent(sections: Sections) -> Sections:
    if sections.bodies != len(sections.functions):
        raise MalformedModule(
            f"declares {len(sections.functions)} functions but has {sections.bodies} bodies"
        )
    for index in sections.functions:
        if index >= len(sections.types):
            raise MalformedModule(f"a function is of type {index}, but there are {len(sections.types)} types")
    for entry in sections.imports:
        if entry.kind == "function" and entry.type_index >= len(sections.types):
            raise MalformedModule(f"import {entry.module}.{entry.name} is of unknown type {entry.type_index}")
    return sections
