"""How the demo speaks, and how it keeps count of what was not true."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["DemoFact", "Demonstrated", "Stage"]


class DemoFact(msgspec.Struct, frozen=True):
    """One thing that the demo shows."""

    part: str
    """The heading that it is under."""
    fact: str
    """The claim, in a sentence."""
    ok: bool
    """Whether it is true."""


class Demonstrated(msgspec.Struct, frozen=True):
    """What the demo showed."""

    ok: bool
    """Whether all of it was true."""
    facts: list[DemoFact]
    """In the order in which they were shown."""


class Stage:
    """Shows headings and facts, and keeps them."""

    def __init__(self, *, silent: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=silent)
        self.facts: list[DemoFact] = []
        self._heading = ""

    @property
    def ok(self) -> bool:
        """Whether everything shown so far was true."""
        return all(fact.ok for fact in self.facts)

    def told(self) -> Demonstrated:
        """All of it as data."""
        return Demonstrated(self.ok, self.facts)

    def heading(self, text: str) -> None:
        """Begin a new part."""
        self._heading = text
        self.console.print(f"\n[bold]{text}[/]")

    def say(self, text: str) -> None:
        """Something that explains and claims nothing."""
        self.console.print(f"  [dim]{text}[/]")

    def fact(self, text: str, *, holds: bool) -> None:
        """A claim, with whether it is true."""
        self.facts.append(DemoFact(self._heading, text, holds))
        self.console.print(f"  {'[green]✓[/]' if holds else '[bold red]✗[/]'} {text}")

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Any]:
        """A bar that is advanced by calling what this yields; nothing moves where there is no terminal."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as bar:
            row = bar.add_task(text, total=total)
            yield lambda: bar.advance(row)
