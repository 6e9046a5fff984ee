"""How a guest's run can end, and under which reason: pure, so that every machine names the same end alike."""

from sandbox.job import MEMORY_MB_MAX, MIB, JobLimits, Reason

STACK_TRAP = 0
INTERRUPT_TRAP = 10
FUEL_TRAP = 11
TRAPS = {
    STACK_TRAP: "call stack exhausted",
    1: "memory access out of bounds",
    3: "table access out of bounds",
    4: "indirect call to an empty table element",
    5: "indirect call of another signature",
    6: "integer overflow",
    7: "integer division by zero",
    8: "conversion of a number out of range",
    9: "unreachable executed",
}
"""By `wasmtime_trap_code_t`."""

ALMOST_ALL_MEMORY = 0.875
"""A guest that traps with this share of its allowance in use is said to have run out of memory: the engine does not
tell a refused growth apart, and allocators abort by `unreachable`."""


class GuestStop(Exception):
    """The guest ends here: it exited, trapped, or went over what it may use."""

    def __init__(self, reason: Reason, detail: str, exit_code: int = 0) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail
        self.exit_code = exit_code


def of_trap(code: int, message: str) -> GuestStop:
    """The end that a trap of the engine is."""
    if code == FUEL_TRAP:
        return GuestStop("fuel", "out of fuel")
    if code == STACK_TRAP:
        return GuestStop("stack", TRAPS[code])
    return GuestStop("trap", TRAPS.get(code, message.split("\n", maxsplit=1)[0][:300]))


def memory_allowed(limits: JobLimits) -> int:
    """Bytes of linear memory that a job may have."""
    return min(limits.memory_mb, MEMORY_MB_MAX) * MIB


def judge(
    limits: JobLimits, ended: GuestStop | None, *, output: int, fuel: int, memory: int
) -> GuestStop | None:
    """What to call the end of a run; None if all went well.

    Args:
        limits: of the job.
        ended: how the guest stopped; None if it returned.
        output: bytes that came out.
        fuel: what was used, host calls included.
        memory: bytes of linear memory at the end.
    """
    if fuel > limits.fuel or (ended is not None and ended.reason == "fuel"):
        return GuestStop("fuel", f"needs more than the {limits.fuel} instructions that fuel allows")
    if ended is None or (ended.reason == "exit" and ended.exit_code == 0):
        if output > limits.output_bytes:
            return GuestStop(
                "output", f"returned more than the {limits.output_bytes} bytes that output_bytes allows"
            )
        return None
    if ended.reason == "trap" and memory >= ALMOST_ALL_MEMORY * memory_allowed(limits):
        return GuestStop(
            "memory", f"{ended.detail}, having used the {limits.memory_mb} MB that memory_mb allows"
        )
    return ended
