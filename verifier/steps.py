"""What a verifier's log says of each line of VERDICTS that it wrote, where that is asked for (`bus.steps`)."""

from bus.messages import Inconclusive, Late, Verdict, VerdictLine
from bus.steps import STEPS

__all__ = ["tell"]


def tell(message: VerdictLine, sequence: int) -> None:
    """One line for what became of a task, in the message at `sequence`; none for the others."""
    match message:
        case Verdict():
            STEPS.tell(
                "accepted",
                message.task,
                message.path,
                sequence=sequence,
                status=message.status,
                reason=message.reason,
                agree=message.agree,
                dissent=message.dissent,
            )
        case Inconclusive():
            STEPS.tell(
                "inconclusive",
                message.task,
                message.path,
                sequence=sequence,
                need=message.need,
                reason=message.reason,
            )
        case Late():
            STEPS.tell("late", message.task, message.path, sequence=sequence, node=message.node)
