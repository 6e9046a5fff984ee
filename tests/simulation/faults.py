"""What each kind of fault does to the world.

- `crash`: the process dies after `steps` more outward steps (a message, a write, its outbox), and starts again after `ms`;
- `pause`: it stands still for `ms`, then goes on with what it believed, and all that came meanwhile;
- `cut`, `hold`: it is cut off for `ms`; what it sends is lost, or arrives when the connection is back;
- `lease`: the lease (a mere hint) of `target` is given up behind its holder's back, so that two believe that they lead;
- `restart`: the server is away for `ms` and forgets leases; logs and dedupe windows are on its disk;
- `fill`: a log takes nothing for `ms`;
- `damage`: the newest checkpoint of `target` is no good any more;
- `leave`: a node drains, says goodbye and comes back after `ms`.
"""

from typing import TYPE_CHECKING

from tests.simulation.nodes import Node
from tests.simulation.scenario import Fault

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["arrange"]

_RESTART_MS = 1_000.0


def arrange(world: "World", fault: Fault) -> None:
    """Let the fault happen at its time, and end after its length."""
    world.at(fault.at_ms, _begin, (world, fault))


def _begin(world: "World", fault: Fault) -> None:
    if not world.faulty:
        return
    end = world.now + fault.ms
    match fault.kind:
        case "fill":
            log = world.server.logs[fault.target]
            log.full = True
            world.say("server", f"{fault.target} is full")
            world.met(f"{fault.target} is full")
            world.at(end, setattr, (log, "full", False))
        case "lease":
            world.say("server", f"forgets the lease {fault.target}")
            world.met("a lease is given away")
            world.server.forget_lease(fault.target)
        case "damage":
            world.say("server", f"damages the newest checkpoint of the {fault.target}")
            world.server.damage(fault.target)
        case "restart":
            world.say("server", "restarts")
            world.met("server restarts")
            world.server.restarted()
            for process in world.processes.values():
                process.cut("hold")
                world.at(
                    world.now + min(fault.ms, _RESTART_MS) + process.rng.random() * 300, process.join, ()
                )
        case _ if fault.target in world.processes:
            _harm(world, fault, end)


def _harm(world: "World", fault: Fault, end: float) -> None:
    process = world.processes[fault.target]
    match fault.kind:
        case "crash":
            process.fuse = fault.steps
            process.down_ms = fault.ms
        case "pause":
            process.pause()
            world.at(end, process.resume, ())
        case "cut" | "hold":
            process.cut("hold" if fault.kind == "hold" else "lose")
            world.at(end, process.join, ())
        case "leave":
            assert isinstance(process, Node)
            process.leave(fault.ms)
        case _:
            raise AssertionError(f"no such fault: {fault}")
