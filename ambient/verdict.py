"""A task's verdict as users see it.

Guarantees that `output` holds the whole output, also one that travelled as a blob (it was fetched and its digest checked before
the verdict was handed over), and that every figure is the one in the VERDICTS log.
"""

import json
from typing import Any

from bus.messages import Verdict, VerdictStatus

__all__ = ["TaskVerdict"]


class TaskVerdict:
    """How a task ended: the one verdict that it will ever have.

    `wire` is the message as it stands in the log, with the digests that bind it to what was asked.
    """

    __slots__ = ("_output", "wire")

    def __init__(self, wire: Verdict, output: bytes | None = None) -> None:
        self.wire = wire
        self._output = output

    @property
    def task(self) -> str:
        """The task's full name, `<client>.<id>`."""
        return self.wire.task

    @property
    def status(self) -> VerdictStatus:
        """`verified`, `failed` (by the guest itself, or out of attempts), `cancelled` or `expired`."""
        return self.wire.status

    @property
    def verified(self) -> bool:
        """Whether the output was accepted under the task's policy."""
        return self.wire.status == "verified"

    @property
    def output(self) -> bytes:
        """The guest's standard output, or the text of an exported function's results."""
        return self._output if self._output is not None else self.wire.output or b""

    @property
    def text(self) -> str:
        """The output as UTF-8; raises `UnicodeDecodeError` where it is something else."""
        return self.output.decode()

    @property
    def value(self) -> Any:
        """The output read as JSON: what an exported function returned, as a number or a list of them.

        Raises `ValueError` for an output that is no JSON. `nan` and `inf` of a single float result are read, too.
        """
        text = self.output.decode().strip()
        return float(text) if text in ("nan", "inf", "-inf") else json.loads(text)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes whose results agreed with the verdict."""
        return self.wire.agree

    @property
    def dissent(self) -> tuple[str, ...]:
        """The nodes whose results were outvoted."""
        return self.wire.dissent

    @property
    def evidence(self) -> tuple[tuple[int, int], ...]:
        """Where the results that were counted stand in RESULTS: (sequence, line)."""
        return self.wire.evidence

    @property
    def reason(self) -> str:
        """Why a task was not verified, in one word (`exit`, `trap`, `fuel`, …); empty for a verified one."""
        return self.wire.reason

    @property
    def detail(self) -> str:
        """The reason in more words."""
        return self.wire.detail

    @property
    def exit_code(self) -> int:
        """The guest's exit status."""
        return self.wire.exit_code

    @property
    def stderr(self) -> bytes:
        """What the guest wrote on standard error, up to `limits.stderr_bytes`."""
        return self.wire.stderr

    @property
    def fuel(self) -> int:
        """WebAssembly instructions executed; the same on every honest node."""
        return self.wire.fuel

    @property
    def energy_j(self) -> float:
        """Joules, the sum over all results that were counted; see `energy_method`."""
        return self.wire.energy_j

    @property
    def energy_method(self) -> str:
        """How the energy is known: `measured:rapl`, `estimated:tdp` and the like."""
        return self.wire.energy_method

    @property
    def wall_ms(self) -> float:
        """The guest's run time in milliseconds, on the first node that agreed."""
        return self.wire.wall_ms

    @property
    def peak_memory_bytes(self) -> int:
        """The guest's largest memory, on the first node that agreed."""
        return self.wire.peak_memory_bytes

    @property
    def trace(self) -> str:
        """The digest (SHA-256, hex) of all that the guest did, on which agreeing nodes agree."""
        return self.wire.trace

    @property
    def attempts(self) -> int:
        """How many times the task was assigned."""
        return self.wire.attempts

    def __repr__(self) -> str:
        """Name, status and either who agreed or why not."""
        if self.verified:
            outcome = f"{len(self.output)} bytes, nodes={list(self.nodes)}"
        else:
            outcome = f"reason={self.reason!r}"
        dissent = f", dissent={list(self.dissent)}" if self.dissent else ""
        return f"TaskVerdict({self.task}, {self.status}, {outcome}{dissent})"

    def __eq__(self, other: object) -> bool:
        """Verdicts are equal if they say the same."""
        return isinstance(other, TaskVerdict) and self.wire == other.wire and self.output == other.output

    def __hash__(self) -> int:
        """There is one verdict per task."""
        return hash(self.wire.task)
