"""The version of what is installed."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]


def _installed() -> str:
    try:
        return version("ambient-vcp")
    except PackageNotFoundError:
        return "0-checkout"


VERSION = _installed()
