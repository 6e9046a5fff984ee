"""Parts that are installed only where they are used: a missing one is named with the command that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ambient.errors import MissingExtra

__all__ = ["needs"]


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports in this block belong to the extra; without it, say what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed here: run `pip install 'ambient-vcp[{extra}]'`"
        ) from error
