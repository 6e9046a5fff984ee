"""Whether the clients were told the truth: their journals against the verdicts in the log, and against what they asked for. Pure.

Guarantees that whatever is said here rests on three things alone: what each client wrote down at the time, what VERDICTS holds now, and
what the errands must come to. Whether the logs keep their promises among themselves is the audit's business (`ambient.audit`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bus.messages import Verdict
from tests.chaos.errands import errand
from tests.chaos.journal import Acknowledged, Entry, Finished, Heard, Submitted, Trouble

__all__ = ["Finding", "Logged", "check", "crashes"]

_KILLED, _TOLD, _IN_ORDER, _CUT_SHORT = -9, -15, 0, 4
_AS_ASKED = frozenset({_KILLED, _TOLD, _IN_ORDER})


class Logged(NamedTuple):
    """A verdict as it stands in VERDICTS, with the server's time in ms since the epoch."""

    sequence: int
    at_ms: int
    verdict: Verdict


class Finding(NamedTuple):
    """A task of which something does not hold, or the client itself where `task` is its name."""

    rule: str
    task: str
    detail: str

    def __str__(self) -> str:
        """In one line."""
        return f"{self.rule}: {self.task} {self.detail}"


def check(journals: Mapping[str, Sequence[Entry]], logged: Iterable[Logged], seed: int) -> list[Finding]:
    """Everything that does not hold; `journals` by client."""
    verdicts: dict[str, list[Logged]] = defaultdict(list)
    for each in logged:
        verdicts[each.verdict.task].append(each)
    found: list[Finding] = []
    for client, entries in journals.items():
        found += _client(client, entries, verdicts, seed)
    submitted = {
        f"{client}.{entry.id}"
        for client, entries in journals.items()
        for entry in entries
        if isinstance(entry, Submitted)
    }
    found += [
        Finding("unasked", name, f"has a verdict (VERDICTS {those[0].sequence}), and nobody asked for it")
        for name, those in verdicts.items()
        if name not in submitted
    ]
    return found


def crashes(ended: Mapping[tuple[str, int], int]) -> list[Finding]:
    """Processes that ended otherwise than by our signals; `ended` counts by name and exit code. A node that is told to end may be cut short."""
    return [
        Finding("crash", name, f"ended with {code}, {count} times: see its log")
        for (name, code), count in ended.items()
        if code not in _AS_ASKED and not (code == _CUT_SHORT and name.startswith("node-"))
    ]


def _client(
    client: str, entries: Sequence[Entry], verdicts: Mapping[str, Sequence[Logged]], seed: int
) -> list[Finding]:
    found: list[Finding] = []
    submitted: dict[str, None] = {}
    acknowledged: set[str] = set()
    heard: dict[str, Heard] = {}
    for entry in entries:
        match entry:
            case Submitted():
                submitted[entry.id] = None
            case Acknowledged():
                acknowledged.add(entry.id)
            case Heard():
                found += _handed(f"{client}.{entry.id}", entry, heard.setdefault(entry.id, entry))
            case Trouble():
                found.append(Finding("trouble", f"{client}.{entry.id}", f"met {entry.error}"))
    for task_id in submitted:
        name = f"{client}.{task_id}"
        those = verdicts.get(name, ())
        found += _task(name, heard.get(task_id), those, acknowledged=task_id in acknowledged)
        wrong = errand(seed, client, int(task_id[1:])).wrong(those[0].verdict) if those else ""
        if wrong:
            found.append(Finding("wrong", name, wrong))
    if not any(isinstance(entry, Finished) for entry in entries):
        found.append(
            Finding("unfinished", client, f"still waited for {len(submitted) - len(heard)} verdicts")
        )
    return found


def _handed(name: str, entry: Heard, first: Heard) -> list[Finding]:
    """What is wrong with a verdict as it was handed out, beside what was handed out first."""
    found = []
    if entry.verdict != first.verdict or entry.output != first.output:
        found.append(Finding("changed", name, f"was answered {first.verdict}, and later {entry.verdict}"))
    if entry.verdict.task != name:
        found.append(Finding("mixed up", name, f"was handed the verdict of {entry.verdict.task}"))
    if entry.verdict.status == "verified" and entry.output != entry.verdict.output_digest:
        found.append(Finding("wrong", name, "was handed other bytes than its verdict names"))
    return found


def _task(name: str, heard: Heard | None, those: Sequence[Logged], *, acknowledged: bool) -> list[Finding]:
    found = []
    if acknowledged and not those:
        found.append(Finding("lost", name, "was acknowledged, and VERDICTS has no verdict of it"))
    if len(those) > 1:
        places = ", ".join(str(each.sequence) for each in those)
        found.append(Finding("twice", name, f"has {len(those)} verdicts: VERDICTS {places}"))
    if heard is not None and those and heard.verdict != those[0].verdict:
        found.append(
            Finding("differs", name, f"was handed {heard.verdict}, and VERDICTS has {those[0].verdict}")
        )
    if heard is not None and not those:
        found.append(Finding("made up", name, "was handed a verdict that VERDICTS does not have"))
    if heard is None and (acknowledged or those):
        found.append(Finding("unheard", name, "has been submitted, and its client was handed no verdict"))
    return found
