"""Modules: WebAssembly that was uploaded, by digest, and what a look at its sections tells."""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["ModuleFunction", "ModuleImport", "ModulePage", "ModuleReport", "ModuleSummary"]


class ModuleImport(Struct, frozen=True, kw_only=True):
    """What a module asks of its host."""

    module: str
    name: str
    kind: str


class ModuleFunction(Struct, frozen=True, kw_only=True):
    """An exported function and its type, as in `(i32, i32) -> (i32)`."""

    name: str
    type: str


class ModuleReport(Struct, frozen=True, kw_only=True):
    """A module and whether nodes would take it; `field` and `problem` say what is wrong where it is not `fit`."""

    digest: str
    size: Count
    fit: bool
    kind: str = ""
    imports: list[ModuleImport] = []
    functions: list[ModuleFunction] = []
    memory_pages: Count = 0
    features: list[str] = []
    field: str = ""
    problem: str = ""


class ModuleSummary(Struct, frozen=True, kw_only=True):
    """A module that tasks have used lately."""

    digest: str
    tasks: Count
    last_ms: Count


class ModulePage(Struct, frozen=True, kw_only=True):
    """Modules of the tasks that the gateway remembers, most used first."""

    modules: list[ModuleSummary]
