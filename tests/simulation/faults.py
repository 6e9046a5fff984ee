"""What each kind of fault does to the world.

- `crash`: the process dies after `steps` more outward steps (a message, a write, its outbox), and starts again after `ms`;
- `pause`: it stands still for `ms`, then goes on with what it believed, and all that came meanwhile;
- `cut`, `hold`: it is cut off for `ms`; what it sends is lost, or arrives when the connection is back;
- `deaf`, `mute`: it is cut off one way for `ms`: nothing comes to it, or nothing of it arrives;
- `lease`: the lease (a mere hint) of `target` is given up behind its holder's back, so that two believe that they lead;
- `restart`: the server is away for `ms` and forgets leases; logs and dedupe windows are on its disk;
- `power`: the same, and what was under way to it, written or not, is lost: it had acknowledged nothing of that;
- `fill`: a log takes nothing for `ms`;
- `damage`: the newest checkpoint of `target` is no good any more;
- `clock`: the clock of `target` (`server`: the time in the logs) jumps by `ms`, and stays wrong;
- `stop`, `roll`: a service, or each in turn every `ms`, is told to stop (SIGTERM), does so in order and is started again;
- `leave`, `drain`: a node is told to stop, or by its operator to drain; it says goodbye and comes back after `ms`;
- `rest`: its operator asks whoever leads to drain it; it stays, and `ms` later the operator asks that it works again.
"""

from typing import TYPE_CHECKING

from bus.messages import Drain
from bus.wire import encode
from tests.simulation.leading import Leaders
from tests.simulation.nodes import Node
from tests.simulation.operator import Operator
from tests.simulation.scenario import Fault

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["arrange"]

_RESTART_MS = 1_000.0
_STOPPED_MS = 200.0
_CUTS = {
    "cut": ("lose", "cut off, what it sends is lost"),
    "hold": ("hold", "cut off, what it sends is kept"),
    "deaf": ("deaf", "cut off, hears nothing"),
    "mute": ("mute", "cut off, is not heard"),
}


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
        case "lease" | "damage":
            _lose(world, fault)
        case "restart" | "power":
            _restart(world, fault)
        case "clock" if fault.target == "server":
            world.met("a clock jumps: server")
            world.server.skew_ms += int(fault.ms)
        case "roll":
            for at, name in enumerate((*world.scenario.coordinators, *world.scenario.verifiers)):
                world.at(world.now + at * fault.ms, _stop, (world, name, _STOPPED_MS))
        case "stop":
            _stop(world, fault.target, fault.ms)
        case _ if fault.target in world.processes:
            _harm(world, fault, end)


def _restart(world: "World", fault: Fault) -> None:
    world.say("server", f"restarts ({fault.kind})")
    world.met("server restarts" if fault.kind == "restart" else "server loses power")
    world.server.restarted()
    for process in world.processes.values():
        if fault.kind == "power":
            process.lose_connection()
        else:
            process.cut("hold")
        world.at(world.now + min(fault.ms, _RESTART_MS) + process.rng.random() * 300, process.join, ())


def _stop(world: "World", name: str, down_ms: float) -> None:
    process = world.processes.get(name)
    if world.faulty and isinstance(process, Leaders):
        process.stop(down_ms)


def _lose(world: "World", fault: Fault) -> None:
    """The server loses a lease, or what a checkpoint was."""
    if fault.kind == "damage":
        world.say("server", f"damages the newest checkpoint of the {fault.target}")
        world.server.damage(fault.target)
    else:
        world.say("server", f"forgets the lease {fault.target}")
        world.met("a lease is given away")
        world.server.forget_lease(fault.target)


def _harm(world: "World", fault: Fault, end: float) -> None:
    process = world.processes[fault.target]
    match fault.kind:
        case "crash":
            process.fuse = fault.steps
            process.down_ms = fault.ms
        case "pause":
            process.pause()
            world.at(end, process.resume, ())
        case "cut" | "hold" | "deaf" | "mute":
            kind, counted = _CUTS[fault.kind]
            world.met(counted)
            process.cut(kind)
            world.at(end, process.join, ())
        case "clock":
            world.met(f"a clock jumps: {process.kind}")
            world.say(process.name, f"has a clock that jumps by {fault.ms:.0f} ms")
            process.jump(fault.ms)
        case "leave":
            assert isinstance(process, Node)
            process.leave(fault.ms)
        case "rest":
            assert isinstance(process, Node)
            Operator(world, process.node, fault.ms)
        case "drain":
            assert isinstance(process, Node)
            process.away_ms = fault.ms
            world.server.broadcast(
                f"assign.{process.node}", world.subjects.assign(process.node), encode(Drain())
            )
        case _:
            raise AssertionError(f"no such fault: {fault}")
