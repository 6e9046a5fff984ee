"""SIGINT and SIGTERM as a fact to wait for."""

import asyncio
import signal

__all__ = ["stop_signals"]


def stop_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process as if nobody listened."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
