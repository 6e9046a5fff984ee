"""An operator who drains a node through whoever leads, for a while, and then wants it to work again.

It asks again and again, as `ambient node drain` does: questions and answers are lost, leaders change, and the node may be killed meanwhile.
It is no process: nothing strikes it.
"""

from typing import TYPE_CHECKING

from bus.messages import DrainReply, DrainRequest, UndrainRequest

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Operator"]

_ASK_MS = 250.0
_LOOK_MS = 1_000.0
_FINISH_MS = (0, 200, 60_000)


class Operator:
    """One drain of one node. Begins to ask when it is made, and wants the node back `ms` later, or when faults end."""

    def __init__(self, world: "World", node: str, ms: float) -> None:
        self._world = world
        self._node = node
        self._until = world.now + ms
        self._finish_ms = world.rng.choice(_FINISH_MS)
        world.say("operator", f"drains {node}")
        self._ask()

    @property
    def _drains(self) -> bool:
        return self._world.faulty and self._world.now < self._until

    def _ask(self) -> None:
        world = self._world
        if self._drains:
            asked = DrainRequest(node=self._node, finish_ms=self._finish_ms)
            world.server.request("coordinator", "drain", asked, self)
        else:
            # For ever: the word of a leader that was paused may come late, and a node that rests keeps work waiting.
            world.server.request("coordinator", "undrain", UndrainRequest(self._node), self)
        world.at(world.now + (_ASK_MS if self._drains else _LOOK_MS), self._ask, ())

    def hear(self, said: DrainReply | None) -> None:
        """The answer, None where nobody leads."""
        if said is None or not self._drains:
            return
        if said.state == "draining":
            self._world.met("a node rests")
            if said.empty:
                self._world.met("a node rests and is empty")
