"""Answers of the right node to its own attempt that nobody can judge: a fault, whoever reads the logs in whatever order."""

import pytest
from msgspec.structs import replace

from bus.messages import Enrolled, Inconclusive, Verdict
from bus.wire import encode
from tests.verifier.scripted import CAPABILITIES, assigned, identity, result
from verifier.claims import Claims
from verifier.core import Core

UNUSABLE = (
    {"spec": "0" * 64},
    {"module": "0" * 64},
    {"input": "0" * 64},
    {"output": b"other"},
    {"output": None},
)


def enrolled() -> Core:
    core = Core()
    nodes = [Enrolled(node=n, key=identity(n).key, capabilities=CAPABILITIES) for n in ("n1", "n2")]
    core.fold_decisions(1, b"\n".join(map(encode, nodes)))
    return core


def answer(core: Core, sequence: int, node: str, decision: int, attempt: int = 1, **change: object) -> None:
    made = replace(result("me.t", node, decision=decision, attempt=attempt), **change)
    core.fold_claims(Claims(sequence, node, identity(node).key, [(0, made)], 0, decision))


@pytest.mark.parametrize("change", UNUSABLE, ids=lambda change: next(iter(change)))
def test_an_unusable_answer_makes_room_for_another_node(change: dict[str, object]) -> None:
    """It is named as the node's fault, once; its second thoughts do not count; another node's answer decides."""
    core = enrolled()
    core.fold_decisions(2, encode(assigned("me.t", ["n1"])))
    answer(core, 1, "n1", 2, **change)
    (need,) = [emission.message for emission in core.judge()]
    answer(core, 2, "n1", 2)
    second_thoughts = core.judge()
    core.fold_decisions(3, encode(assigned("me.t", ["n2"], attempt=2)))
    answer(core, 3, "n2", 3, attempt=2)
    (verdict,) = [emission.message for emission in core.judge()]

    assert isinstance(need, Inconclusive)
    assert (need.need, need.exclude, need.faulted) == (1, ("n1",), ("n1",))
    assert second_thoughts == []
    assert isinstance(verdict, Verdict)
    assert (verdict.agree, verdict.faulted) == (("n2",), ())


def test_an_unusable_answer_after_the_verdict_changes_nothing() -> None:
    """Nobody waits for that node any more, and it neither agreed nor dissented."""
    core = enrolled()
    core.fold_decisions(2, encode(assigned("me.t", ["n1", "n2"])))
    answer(core, 1, "n1", 2)
    core.judge()
    answer(core, 2, "n2", 2, output=b"other")

    assert core.judge() == []
