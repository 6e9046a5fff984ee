"""The parts of the demo: each runs something real and states facts about it.

Every part takes the open client, the running cluster and the stage; nothing here decides what the network does.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.demo.guests import guest, holdout, photograph, primes_up_to
from ambient.demo.stage import Stage
from ambient.errors import TaskRejected
from anchor.receipt.bitcoin.spv import SUCCESSORS
from anchor.receipt.check import Demands, check
from anchor.receipt.errors import ReceiptError
from bus.messages import NodeView

__all__ = ["LIAR", "burst", "failures", "kills", "liar", "receipts", "useful_work"]

LIAR = "liar"
_QUORUM = "quorum:2/3"
_WORDS = b"the mesh is large and the mesh is patient\nwhat the mesh returns, the mesh can prove\n"


async def useful_work(client: Client, _cluster: Supervisor, stage: Stage) -> None:
    """Guests in C and WAT do what they are for, on two of three nodes alike."""
    stage.heading("Real WebAssembly on several nodes, 2 of 3 must agree")
    primes = await client.run(guest("primes"), 100_000, entry="count_primes", verify=_QUORUM)
    told = f"{primes.text} primes up to 100,000, said {_names(primes.nodes)}"
    stage.fact(f"{told} ({primes.fuel:,} instructions)", holds=int(primes.text) == primes_up_to(100_000))

    words = await client.run(guest("textstat"), "1", input=_WORDS, verify=_QUORUM)
    last = words.text.splitlines()[-1]
    stage.fact(
        f"most frequent word of a text, with its count: {last!r}", holds=sorted(last.split()) == ["4", "mesh"]
    )

    images, labels = holdout()
    digits = await client.run(guest("digits"), input=images, verify=_QUORUM)
    right = sum(said == is_ for said, is_ in zip(digits.text.split(), labels, strict=True)) / len(labels)
    stage.fact(
        f"a neural network reads {len(labels)} handwritten digits, {right:.1%} right", holds=right > 0.95
    )

    edges = await client.run(guest("imagefilter"), "edges", input=photograph(), verify=_QUORUM)
    bright = sum(1 for value in edges.output[-96 * 64 :] if value > 100)
    stage.fact(
        f"an image filter finds the rim of a disc: {bright} bright pixels", holds=0 < bright < 96 * 64 / 4
    )
    joules = sum(verdict.energy_j for verdict in (primes, words, digits, edges))
    stage.say(f"energy for these four, all replicas: {joules:.2f} J ({primes.energy_method})")


async def failures(client: Client, _cluster: Supervisor, stage: Stage) -> None:
    """Guests that trap, loop, hoard memory, flood or ask for files end as failures with their reasons."""
    stage.heading("Guests that misbehave come back as failures, two nodes agreeing on the reason")
    cases: tuple[tuple[str, str, Mapping[str, int]], ...] = (
        ("trap", "trap", {}),
        ("divzero", "trap", {}),
        ("loop", "fuel", {"fuel": 50_000_000}),
        ("hog", "memory", {"memory_mb": 32}),
        ("recurse", "stack", {}),
        ("flood", "output", {"output_bytes": 65_536}),
        ("exit3", "exit", {}),
    )
    for name, reason, limits in cases:
        module = guest(f"misbehaving/{name}")
        verdict = await client.run(module, verify=_QUORUM, limits=limits, check=False)
        said = f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason
        stage.fact(f"{name:<8} {said[:90]}", holds=verdict.status == "failed" and verdict.reason == reason)
    try:
        await client.run(guest("misbehaving/net"))
    except TaskRejected as error:
        stage.fact(f"net      refused before it ran: {error.limit[:90]}", holds="sock_accept" in error.limit)
    else:
        stage.fact("a module that wants the network is refused", holds=False)


async def liar(client: Client, cluster: Supervisor, stage: Stage) -> None:
    """One node alters its answers on purpose: it is outvoted every time, and named."""
    stage.heading("A node that lies is outvoted and named")
    stage.say(f"{LIAR!r} runs with the worker's fault switch `--fault lie`: it signs altered answers")
    right = 0
    total = 30
    async for index, verdict in client.map(
        guest("add"), [(n, n) for n in range(total)], entry="add", verify=_QUORUM, check=False
    ):
        right += verdict.verified and verdict.value == 2 * index and LIAR not in verdict.nodes
    stage.fact(f"{right} of {total} sums are right, with {LIAR!r} among the candidates", holds=right == total)
    node = await _until(client, lambda view: view.node == LIAR and view.dissented > 0)
    if node is None:
        stage.fact(f"{LIAR!r} is named as a dissenter", holds=False)
        return
    told = f"{LIAR!r} dissented {node.dissented} times and agreed {node.agreed}; reputation {node.reputation:.2f}"
    stage.fact(told, holds=node.agreed == 0)
    await cluster.remove(LIAR)


async def burst(client: Client, _cluster: Supervisor, stage: Stage, tasks: int) -> None:
    """Many small tasks at once: throughput, and the latency of one task alone."""
    stage.heading(f"A burst of {tasks:,} tasks, each signed, verified and on disk four times")
    seen: Counter[int] = Counter()
    right = 0
    begun = time.perf_counter()
    with stage.progress("burst", tasks) as advance:
        async for index, verdict in client.map(guest("add"), ((n, 1) for n in range(tasks)), entry="add"):
            seen[index] += 1
            right += verdict.verified and verdict.value == index + 1
            advance()
    took_s = time.perf_counter() - begun
    once = len(seen) == tasks and set(seen.values()) == {1}
    stage.fact(
        f"{tasks:,} verdicts, each exactly once, in {took_s:.1f} s: {tasks / took_s:,.0f} tasks/s", holds=once
    )
    stage.fact("every sum is right", holds=right == tasks)

    latencies_ms = []
    for number in range(100):
        begun = time.perf_counter()
        await client.run(guest("add"), number, 1, entry="add")
        latencies_ms.append((time.perf_counter() - begun) * 1000)
    latencies_ms.sort()
    p50, p90, p99 = (latencies_ms[at] for at in (49, 89, 98))
    stage.fact(f"one at a time: p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms", holds=p99 < 1000)


async def kills(client: Client, cluster: Supervisor, stage: Stage) -> None:
    """A node and the coordinator are killed with -9 under load; every verdict still arrives, once."""
    stage.heading("kill -9 of a node and of the coordinator, under load")
    tasks = 1500
    victims = {tasks // 5: "node-1", tasks // 2: "coordinator-1"}
    restarts = {name: cluster.running[name].policy.count for name in victims.values()}
    seen: Counter[int] = Counter()
    right = 0
    begun = time.perf_counter()
    with stage.progress("under fire", tasks) as advance:
        inputs = ((20_000 + n,) for n in range(tasks))
        async for index, verdict in client.map(
            guest("primes"), inputs, entry="count_primes", verify=_QUORUM, in_flight=200
        ):
            seen[index] += 1
            right += verdict.verified
            advance()
            if victim := victims.pop(sum(seen.values()), None):
                cluster.kill(victim)
                stage.say(f"killed {victim} after {sum(seen.values())} verdicts")
    took_s = time.perf_counter() - begun
    stage.fact(
        f"{len(seen):,} of {tasks:,} verdicts arrived, none twice, {took_s:.1f} s",
        holds=_each_once(seen, tasks),
    )
    stage.fact(f"{right:,} are verified by two nodes that agree", holds=right == tasks)
    back = all(cluster.running[name].policy.count > count for name, count in restarts.items())
    stage.fact("both were started again by the supervisor", holds=back)


async def receipts(client: Client, _cluster: Supervisor, stage: Stage) -> None:
    """A verdict's receipt is one file that anyone checks offline; whoever changes a bit of it is found out."""
    stage.heading("A receipt: the proof of one verdict, for a stranger")
    verdict = await client.run(guest("primes"), 1_000, entry="count_primes", id="proven", verify=_QUORUM)
    data, _ = await client.receipt(verdict.task, wait=True, timeout_s=60)
    report = check(data, Demands(task=verdict.task, evidence=True))
    stage.fact(
        f"{len(data):,} bytes: entry {report.leaf:,} in a log of {report.checkpoint.size:,}, with {len(report.nodes)} signed results",
        holds=set(report.nodes) >= set(verdict.nodes),
    )
    for said in report.proven[:3]:
        stage.say(said)
    confirmed = report.confirmed
    stage.fact(
        "published on a Bitcoin chain of this cluster's own: "
        + (f"block {confirmed.height:,}, {confirmed.successors} on top" if confirmed else "no block yet"),
        holds=confirmed is not None and confirmed.successors == SUCCESSORS,
    )
    refused = 0
    places = range(0, 8 * len(data), 997)
    for bit in places:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        refused += _is_refused(bytes(changed))
    stage.fact(
        f"with one bit changed, in {len(places)} places, it is refused {refused} times",
        holds=refused == len(places),
    )


def _is_refused(data: bytes) -> bool:
    try:
        check(data)
    except ReceiptError:
        return True
    return False


def _each_once(seen: Counter[int], tasks: int) -> bool:
    return len(seen) == tasks and set(seen.values()) == {1}


async def _until(client: Client, holds: Callable[[NodeView], bool], within_s: float = 15) -> NodeView | None:
    """The first node of which `holds` is true, once there is one."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = next(filter(holds, await client.nodes()), None)
        if found is not None:
            return found
        await asyncio.sleep(0.1)
    return None


def _names(nodes: tuple[str, ...]) -> str:
    return " and ".join(nodes)
