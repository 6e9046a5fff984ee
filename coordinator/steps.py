"""What a coordinator's log says of each decision, once it is durable and where that is asked for (`bus.steps`)."""

from bus.messages import Refused
from bus.steps import STEPS
from coordinator.instructions import Placed, Stopped, Token

__all__ = ["tell"]


def tell(token: Token) -> None:
    """One line for a decision about a task; none for the others."""
    match token:
        case Placed(task, holders):
            nodes = [holder.node for holder in holders]
            STEPS.tell("assigned", task.name, task.path, attempt=holders[0].attempt, nodes=nodes)
        case Stopped(decision):
            STEPS.tell(
                "abandoned",
                decision.task,
                decision.path,
                status=decision.status,
                reason=decision.reason,
                detail=decision.detail,
            )
        case Refused():
            name = token.task or f"{token.client}.{token.source[0]}"
            STEPS.tell("refused", name, token.path, field=token.field, limit=token.limit)
