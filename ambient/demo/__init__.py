"""`ambient demo`: everything that the network promises, shown with real parts and checked while it is shown.

It starts a real cluster of separate processes in a temporary folder, and every claim on the screen is a check whose failure makes the
demo fail. It ends by itself and leaves nothing behind.
"""

from ambient.demo.script import run_demo

__all__ = ["run_demo"]
