"""The checker of the clients' journals: an honest run has no findings, and each planted violation is one."""

from collections.abc import Callable
from hashlib import sha256

import msgspec
import pytest

from bus.messages import Verdict
from tests.chaos.checker import Logged, check, crashes
from tests.chaos.errands import errand
from tests.chaos.journal import Acknowledged, Begun, Entry, Finished, Heard, Submitted, Trouble

_SEED, _CLIENT, _TASKS = 5, "client-1", 40

Story = tuple[list[Entry], list[Logged]]


def _honest() -> Story:
    """Forty tasks that are submitted, acknowledged, judged rightly and handed out."""
    entries: list[Entry] = [Begun(0.0)]
    logged = []
    for number in range(_TASKS):
        what = errand(_SEED, _CLIENT, number)
        status = max(what.ends)
        output = what.output if status == "verified" else b""
        verdict = Verdict(
            task=f"{_CLIENT}.{what.id}",
            status=status,  # type: ignore[arg-type]
            reason=what.reason,
            output=output,
            output_digest=sha256(output).hexdigest(),
        )
        entries += [Submitted(0.1, what.id), Acknowledged(0.2, what.id)]
        entries.append(Heard(0.3, what.id, verdict, sha256(output).hexdigest()))
        logged.append(Logged(number + 1, 0, verdict))
    return [*entries, Finished(1.0)], logged


def _verified(logged: list[Logged]) -> int:
    return next(at for at, each in enumerate(logged) if each.verdict.status == "verified")


def _lose(story: Story) -> None:
    """An acknowledged task has no verdict, and nobody was told one."""
    entries, logged = story
    gone = logged.pop(3).verdict.task.partition(".")[2]
    entries[:] = [each for each in entries if not (isinstance(each, Heard) and each.id == gone)]


def _double(story: Story) -> None:
    story[1].append(story[1][7])


def _swap_output(story: Story) -> None:
    """Everybody agrees, and all are wrong."""
    entries, logged = story
    at = _verified(logged)
    wrong = msgspec.structs.replace(
        logged[at].verdict, output=b"wrong", output_digest=sha256(b"wrong").hexdigest()
    )
    logged[at] = logged[at]._replace(verdict=wrong)
    for index, each in enumerate(entries):
        if isinstance(each, Heard) and each.verdict.task == wrong.task:
            entries[index] = Heard(each.at_s, each.id, wrong, wrong.output_digest)


def _tell_another(story: Story) -> None:
    """The log has another verdict than the one that was handed out."""
    at = _verified(story[1])
    story[1][at] = story[1][at]._replace(verdict=msgspec.structs.replace(story[1][at].verdict, attempts=9))


def _change(story: Story) -> None:
    """Asked again, the client is handed another verdict."""
    heard = next(each for each in story[0] if isinstance(each, Heard))
    later = msgspec.structs.replace(heard.verdict, fuel=77)
    story[0].append(Heard(2.0, heard.id, later, heard.output, again=True))


def _corrupt(story: Story) -> None:
    """The bytes that the client got are not those of its verdict."""
    at = next(
        i for i, each in enumerate(story[0]) if isinstance(each, Heard) and each.verdict.status == "verified"
    )
    heard = story[0][at]
    assert isinstance(heard, Heard)
    story[0][at] = Heard(heard.at_s, heard.id, heard.verdict, sha256(b"other").hexdigest())


def _conjure(story: Story) -> None:
    story[1].append(Logged(99, 0, Verdict(task=f"{_CLIENT}.t999", status="failed")))


def _invent(story: Story) -> None:
    """The client was handed what the log does not have."""
    story[1].pop(_verified(story[1]))


def _swallow(story: Story) -> None:
    """There is a verdict, and its client waits for ever."""
    story[0].remove(next(each for each in story[0] if isinstance(each, Heard)))


def _mix_up(story: Story) -> None:
    one, two = (i for i, each in enumerate(story[0]) if isinstance(each, Heard) and each.id in ("t0", "t1"))
    first, second = story[0][one], story[0][two]
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    story[0][one] = Heard(0.3, "t0", second.verdict, second.output)


def _fail(story: Story) -> None:
    story[0].append(Trouble(2.0, "t1", "BusUnavailable: gone"))


def _hang(story: Story) -> None:
    story[0].pop()


def test_a_process_that_ends_unasked_is_found() -> None:
    """By its exit code: it was neither killed nor told to end. Only a node that is told to end may be cut short."""
    ended = {
        ("node-1", -9): 3, ("node-1", -15): 1, ("node-2", 4): 1, ("coordinator-1", 0): 2,
        ("verifier-1", 4): 1, ("coordinator-2", 1): 2, ("nats-0", -11): 1,
    }  # fmt: skip

    assert {each.task for each in crashes(ended)} == {"verifier-1", "coordinator-2", "nats-0"}


def test_an_honest_run_has_no_findings() -> None:
    """Else every run would fail, and nobody would look."""
    entries, logged = _honest()

    assert check({_CLIENT: entries}, logged, _SEED) == []


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (_lose, "lost"),
        (_double, "twice"),
        (_swap_output, "wrong"),
        (_tell_another, "differs"),
        (_change, "changed"),
        (_corrupt, "wrong"),
        (_conjure, "unasked"),
        (_invent, "made up"),
        (_swallow, "unheard"),
        (_mix_up, "mixed up"),
        (_fail, "trouble"),
        (_hang, "unfinished"),
    ],
)
def test_a_planted_violation_is_found(plant: Callable[[Story], None], rule: str) -> None:
    """Each by the rule that it breaks."""
    story = _honest()
    plant(story)
    entries, logged = story

    assert rule in {finding.rule for finding in check({_CLIENT: entries}, logged, _SEED)}
