"""What a node says of itself to Prometheus."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sandbox.work import Spent
from workers.breakers import REASONS
from workers.core import NodeCore
from workers.energy import EnergyMeter
from workers.figures import Figures
from workers.vitals import Vitals

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["Parts", "node"]


class Parts(NamedTuple):
    """Where the values are; `vitals` are those of the last heartbeat, None before the first."""

    core: NodeCore
    figures: Figures
    meter: EnergyMeter
    slots: int
    backlog: Callable[[], int]
    spent: Callable[[], Spent]
    vitals: Callable[[], Vitals | None]


def node(parts: Parts) -> "Source":
    """The source of one node."""

    async def say(board: "Board") -> None:
        _say_state(board, parts)
        _say_machine(board, parts)
        _say_sandbox(board, parts)

    return say


def _say_state(board: "Board", parts: Parts) -> None:
    core, breakers = parts.core, parts.core.breakers
    for reason in REASONS:
        board.say("ambient_node_safe_mode", reason in breakers.open, reason=reason)
        board.say("ambient_node_breaker_trips_total", breakers.trips[reason], reason=reason)
    board.say("ambient_node_draining", core.draining)
    board.say("ambient_node_slots", parts.slots)
    board.say("ambient_node_open_attempts", core.open_count)
    board.say("ambient_node_outbox_claims", parts.backlog())


def _say_machine(board: "Board", parts: Parts) -> None:
    latency_ms, vitals, meter = parts.core.breakers.latency_ms, parts.vitals(), parts.meter
    if latency_ms is not None:
        board.say("ambient_node_latency_seconds", latency_ms / 1000)
    if vitals is not None and vitals.temperature_c is not None:
        board.say("ambient_node_temperature_celsius", vitals.temperature_c)
    if vitals is not None and vitals.battery is not None:
        board.say("ambient_node_battery_ratio", vitals.battery)
    board.say("ambient_node_energy_joules_total", meter.total_j, method=meter.method.partition(":")[0])
    board.say("ambient_node_charged_joules_total", meter.charged_j)


def _say_sandbox(board: "Board", parts: Parts) -> None:
    figures, spent = parts.figures, parts.spent()
    for (status, reason), count in ({("ok", ""): 0} | figures.attempts).items():
        board.say("ambient_node_attempts_total", count, status=status, reason=reason)
    board.say("ambient_sandbox_guest_seconds", figures.guest_s)
    board.say("ambient_sandbox_peak_memory_bytes", figures.peak_bytes)
    board.say("ambient_sandbox_fuel_total", figures.fuel)
    board.say("ambient_sandbox_busy_seconds_total", spent.busy_s)
    board.say("ambient_sandbox_slot_losses_total", spent.losses)
    board.say("ambient_sandbox_compile_seconds_total", spent.compile_s)
