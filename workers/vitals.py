"""What the machine says of itself: processor, memory, temperature, battery. What cannot be read is None, never a guess.

The one place that knows psutil.
"""

from typing import NamedTuple

import psutil

__all__ = ["Vitals", "available_bytes", "processor_seconds", "read_vitals"]

_PLAUSIBLE_C = (-40.0, 150.0)
"""Sensors that are not connected read like -128 or 65,535."""


class Vitals(NamedTuple):
    """Shares are 0..1."""

    cpu_free: float
    memory_free: float
    temperature_c: float | None
    battery: float | None


def read_vitals() -> Vitals:
    """Read them now; the processor's share is that since the last call."""
    memory = psutil.virtual_memory()
    return Vitals(
        cpu_free=_share(1 - psutil.cpu_percent(None) / 100),
        memory_free=_share(memory.available / memory.total),
        temperature_c=_temperature_c(),
        battery=_battery(),
    )


def available_bytes() -> int:
    """Memory that could be given to a process now without swapping."""
    return int(psutil.virtual_memory().available)


def processor_seconds() -> tuple[float, float]:
    """(busy, all) seconds of all cores together since the machine started."""
    times = psutil.cpu_times()
    # `guest` is part of `user` already.
    every = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return every - times.idle - getattr(times, "iowait", 0.0), every


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _temperature_c() -> float | None:
    """The hottest sensor."""
    if not hasattr(psutil, "sensors_temperatures"):  # macOS, Windows
        return None
    low, high = _PLAUSIBLE_C
    readings = (reading.current for chip in psutil.sensors_temperatures().values() for reading in chip)
    return max((celsius for celsius in readings if low < celsius < high), default=None)


def _battery() -> float | None:
    try:
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    except OSError:  # a confined process may have no /sys, which psutil takes for granted
        battery = None
    return None if battery is None else _share(battery.percent / 100)
