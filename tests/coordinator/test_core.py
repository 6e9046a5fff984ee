"""The core, promise by promise: what is assigned, when again, to whom, and when a task is given up."""

import datetime as dt

import pytest
from structlog.testing import capture_logs

from bus.messages import Abandoned, Assigned, CancelAttempt, Enrolled, Inconclusive, Leader, Refused
from bus.signing import VERDICTS, Identity
from bus.steps import STEPS
from bus.wire import decode, decoder, encode
from coordinator.explain import why
from coordinator.settings import Timing
from coordinator.steps import tell
from coordinator.tasks import RUNNING
from tests.coordinator.scripted import task
from tests.coordinator.world import SUBJECTS, World, snapshot

QUORUM = {"kind": "quorum", "agree": 2, "of": 3}


def attempts(world: World, name: str) -> list[Assigned]:
    return [each for each in world.decisions(Assigned) if each.task == name]


def inconclusive(world: World, need: int, after: int, **more: object) -> None:
    line = encode(Inconclusive(task="me.t", need=need, after=after, **more))  # type: ignore[arg-type]
    world._append("verdicts", SUBJECTS.verdicts, [line])
    world.core.fold_verdicts(world.logs["verdicts"][-1])
    world.turn()


def test_nobody_is_told_before_the_decision_is_durable() -> None:
    """An assignment leaves only after its line is in the log, and names the sequence of that line."""
    world = World(1)
    world.submit(task("t"))

    assert not world.held["n0"]
    world.flush()
    assert world.held["n0"]["me.t#1"].decision == len(world.logs["assignments"])


def test_the_first_line_of_a_leadership_is_the_next_epoch() -> None:
    """Each leadership begins with its epoch."""
    world = World(1)
    world.restart()
    world.flush()

    assert [each.epoch for each in world.decisions(Leader)] == [1, 2]


def test_an_unchanged_node_enrols_once() -> None:
    """A second hello of the same node with the same capabilities writes nothing."""
    world = World(2)
    world.revive("n0")
    world.flush()

    assert [each.node for each in world.decisions(Enrolled)] == ["n0", "n1"]


def test_a_need_is_answered_once_with_as_many_nodes() -> None:
    """`inconclusive` with the same `after` again asks nothing new; a later one does."""
    world = World(8)
    world.submit(task("t", verify=QUORUM, max_attempts=9))
    world.flush()
    inconclusive(world, need=2, after=1)
    inconclusive(world, need=2, after=1)
    world.advance(1000)
    world.flush()
    inconclusive(world, need=2, after=1)
    world.advance(1000)
    world.flush()
    inconclusive(world, need=1, after=2)
    world.advance(1000)
    world.flush()

    assert [len(each.nodes) for each in attempts(world, "me.t")] == [3, 2, 1]
    assert len({node for each in attempts(world, "me.t") for node in each.nodes}) == 6


def test_an_inconclusive_that_is_read_before_its_attempt_is_not_forgotten() -> None:
    """A fold that meets VERDICTS before ASSIGNMENTS still knows the need."""
    world = World(5)
    world.submit(task("t", verify=QUORUM))
    world.flush()
    inconclusive(world, need=1, after=1)
    world.restart(order="vatrd")
    world.advance(3000)
    world.flush()

    assert [len(each.nodes) for each in attempts(world, "me.t")] == [3, 1]


def test_a_claim_that_is_read_before_its_attempt_counts() -> None:
    """A standby that reads RESULTS ahead of ASSIGNMENTS does not wait for what was answered."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.answer("n0")
    core = world.folded("rvat")

    assert [holder.state for holder in core.ledger.open["me.t"].holders] != [RUNNING]


def test_a_dead_nodes_replica_is_made_good_once() -> None:
    """Dead at 10 s: one replica for one lost node, marked as such; a fold knows that it is made good."""
    world = World(4)
    world.submit(task("t", verify=QUORUM))
    world.flush()
    lost = attempts(world, "me.t")[0].nodes[0]
    world.kill(lost)
    world.advance(9_000)
    world.flush()
    early = len(attempts(world, "me.t"))
    world.advance(4_000)
    world.flush()
    world.restart()
    world.advance(20_000)
    world.flush()
    made = attempts(world, "me.t")

    assert early == 1
    assert [(each.attempt, each.replaces) for each in made] == [(1, ()), (2, (lost,))]
    assert not set(made[1].nodes) & set(made[0].nodes)


def test_an_unlisted_attempt_is_delivered_again() -> None:
    """What a node should hold and does not list after 4 s is sent to it again, as the same attempt."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.lose("n0")
    world.advance(3_000)
    before = dict(world.held["n0"])
    world.advance(5_000)

    assert not before
    assert list(world.held["n0"]) == ["me.t#1"]
    assert len(attempts(world, "me.t")) == 1


def test_what_a_leader_decided_and_did_not_tell_its_successor_tells_at_once() -> None:
    """The decision was written, its writer died before the node heard of it: the node has it without a heartbeat in between."""
    world = World(1)
    world.submit(task("t"))
    world.turn()
    world.restart(written=len(world.pending))

    assert list(world.held["n0"]) == ["me.t#1"]
    assert len(attempts(world, "me.t")) == 1


def test_what_a_node_lists_is_not_sent_again_by_a_successor() -> None:
    """A takeover costs no message for what its node is known to have."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.told.clear()
    world.now_ms += 1
    world.beat("n0")
    world.core.lead("again", world.now_ms)
    world.flush()

    assert not [body for subject, body in world.told if ".assign." in subject]


def test_a_lease_that_runs_out_moves_the_work() -> None:
    """A node that lives and never lists the attempt loses it after the lease, and does not get it again."""
    world = World(1, timing=Timing(deliveries=99))
    world.submit(task("t", limits={"wall_ms": 1000}))
    world.flush()
    for _ in range(40):
        world.lose("n0")
        world.advance(1000)
    world.revive("n1")
    world.advance(1000)
    world.flush()

    assert [(each.nodes, each.replaces) for each in attempts(world, "me.t")] == [
        (("n0",), ()),
        (("n1",), ("n0",)),
    ]


def test_an_attempt_that_its_node_drops_each_time_moves_on() -> None:
    """After four deliveries in vain another node gets it, long before the lease is over: it may be what ends that node."""
    world = World(1)
    world.submit(task("t", limits={"wall_ms": 600_000}))
    world.flush()
    world.revive("n1")
    delivered = 0
    for _ in range(30):
        delivered += bool(world.held["n0"])
        world.lose("n0")
        world.advance(1000)
        world.flush()

    assert delivered == 4
    assert [(each.nodes, each.replaces) for each in attempts(world, "me.t")] == [
        (("n0",), ()),
        (("n1",), ("n0",)),
    ]


def test_a_listed_attempt_keeps_its_lease_but_not_for_ever() -> None:
    """Telemetry renews a lease; a node that lists an attempt without end loses it after ten leases."""
    world = World(1)
    world.submit(task("t", limits={"wall_ms": 1000}))
    world.flush()
    world.advance(200_000)
    kept = world.core.ledger.open["me.t"].is_running()
    world.advance(200_000)

    assert kept
    assert not world.core.ledger.open["me.t"].is_running()


def test_a_task_out_of_attempts_is_abandoned_with_how_they_ended() -> None:
    """Each node dies with it; after `max_attempts` it is given up, and says what happened."""
    world = World(1)
    world.submit(task("t", max_attempts=2))
    for _ in range(2):
        world.flush()
        world.kill("n0")
        world.advance(13_000)
        world.revive("n0")
        world.advance(1000)
    world.flush()
    (abandoned,) = world.decisions(Abandoned)

    assert len(attempts(world, "me.t")) == 2
    assert (abandoned.status, abandoned.reason) == ("failed", "attempts")
    assert "2 of 2 attempts" in abandoned.detail


def test_the_last_attempt_is_waited_for_before_a_task_is_given_up() -> None:
    """With no attempt left, a replica is lost: the others still run, so the task goes on."""
    world = World(3)
    world.submit(task("t", verify=QUORUM, max_attempts=1))
    world.flush()
    world.kill("n0")
    world.advance(20_000)
    for node in ("n1", "n2"):
        world.answer(node)
    world.verify()
    world.flush()

    assert not world.decisions(Abandoned)
    assert [each.status for each in world.verdicts()] == ["verified"]


def test_a_task_whose_every_node_is_used_up_ends() -> None:
    """Both nodes failed of themselves and there is no third: after a while the task fails instead of waiting for ever."""
    world = World(2)
    world.submit(task("t"))
    for _ in range(2):
        world.flush()
        for node in ("n0", "n1"):
            world.answer(node, "fault")
        world.verify()
        world.advance(1000)
    world.advance(20_000)
    world.flush()
    world.verify()

    assert [each.status for each in world.verdicts()] == ["failed"]
    assert "no other node is left" in world.decisions(Abandoned)[0].detail


def test_claims_that_the_verifier_passes_over_are_made_good() -> None:
    """A claim is a hint: if the verifier judged what came later and not this, another node is asked."""
    world = World(3)
    world.submit(task("t"))
    world.flush()
    (node,) = attempts(world, "me.t")[0].nodes
    forged = world.core.ledger.open["me.t"]
    world.core.attempts.answered(node, "me.t#1", forged.holders[0].decision)
    forged.claimed, forged.quiet_since_ms = 1, world.now_ms
    world.held[node].clear()
    world.advance(70_000)
    patient = len(attempts(world, "me.t"))
    world.core.judged_to = 2
    world.advance(2_000)
    world.flush()

    assert patient == 1
    assert [each.replaces for each in attempts(world, "me.t")] == [(), (node,)]


def test_what_waits_goes_by_priority_and_age() -> None:
    """A step of priority is worth ten seconds; after that the older one goes first, whatever the new one's priority."""
    world = World(0)
    world.submit(task("low", priority=0))
    world.submit(task("high", priority=1))
    world.now_ms += 10_001
    world.submit(task("late", priority=1))
    world.revive("n0")
    world.flush()

    assert [each.task for each in world.decisions(Assigned)] == ["me.high", "me.low", "me.late"][:2]
    world.answer("n0")
    world.verify()
    world.flush()
    assert [each.task for each in world.decisions(Assigned)][2] == "me.late"


def test_a_stream_of_urgent_work_starves_nobody() -> None:
    """With one slot and an urgent task every second, the humble one runs within 90 s and a turn."""
    world = World(1, slots=1)
    world.submit(task("humble", priority=0))
    world.submit(*(task(f"first{i}", priority=9) for i in range(5)))
    for second in range(120):
        world.submit(task(f"urgent{second}", priority=9))
        world.flush()
        world.answer("n0")
        world.verify()
        world.advance(1000)
    (humble,) = attempts(world, "me.humble")
    at = [each.task for each in world.decisions(Assigned)].index(humble.task)

    assert at <= 96


def test_what_nobody_can_take_does_not_hold_up_the_rest() -> None:
    """A thousand tasks for a region without nodes come first; the others run in the same turn."""
    world = World(1)
    world.submit(*(task(f"far{i}", priority=9, place={"region": f"r{i}"}) for i in range(600)))
    world.submit(task("near"))
    world.flush()

    assert [each.task for each in world.decisions(Assigned)] == ["me.near"]


def test_hopeless_tasks_cost_the_others_no_room_that_is_free() -> None:
    """Thousands of tasks that no node fits wait, each in its own way; work that waits for room still gets it at once."""
    world = World(1, slots=1)
    for batch in range(4):
        world.submit(*(task(f"far{batch}-{i}", place={"node": f"x{batch}-{i}"}) for i in range(900)))
    world.submit(*(task(f"wide{i}", verify={"kind": "quorum", "agree": i, "of": i}) for i in range(2, 31)))
    world.flush()
    world.submit(*(task(f"near{i}") for i in range(30)), client="other")
    world.flush()
    for _ in range(30):
        world.answer("n0")
        world.verify()
        world.flush()

    assert [each.task for each in world.decisions(Assigned)] == [f"other.near{i}" for i in range(30)]


def test_hopeless_tasks_find_the_node_that_joins() -> None:
    """What no node fitted is placed soon after one that fits has joined, among thousands that still wait."""
    world = World(1)
    for batch in range(4):
        world.submit(*(task(f"far{batch}-{i}", place={"node": f"x{batch}-{i}"}) for i in range(900)))
    world.submit(task("pinned", place={"node": "n1"}))
    world.flush()
    world.advance(5_000)
    world.revive("n1")
    world.advance(30_000)
    world.flush()

    assert [each.task for each in world.decisions(Assigned)] == ["me.pinned"]


def test_an_indented_document_is_one_task_on_one_line() -> None:
    """People submit indented JSON: what nodes get is the same document without line breaks."""
    world = World(1)
    world.submit(b'{\n  "id": "t",\n  "work": ' + encode(task()["work"]) + b"\n}\n")
    world.flush()

    assert b"\n" not in bytes(world.held["n0"]["me.t#1"].spec)


def test_a_line_without_id_is_named_after_its_place() -> None:
    """`<sequence>` alone, `<sequence>-<line>` in a batch."""
    world = World(1)
    first = world.submit(task())
    second = world.submit(task(), task())
    world.flush()

    assert set(world.core.ledger.open) == {f"me.{first}", f"me.{second}-0", f"me.{second}-1"}


def test_a_copy_under_a_refused_name_takes_its_place() -> None:
    """The first submission under a name turns out unfit while a second one waits: the second is judged by itself."""
    world = World(1)
    unfit = task("t", work={"args": [1]})
    world._append("tasks", SUBJECTS.submit("me"), [encode(unfit), encode(task("t"))])
    world.core.fold_tasks(world.logs["tasks"][-1])
    world.turn()
    world.flush()

    assert [each.field for each in world.decisions(Refused)] == ["work.args"]
    assert [each.source for each in attempts(world, "me.t")] == [(1, 1)]


@pytest.mark.parametrize("subject", ["me", "not a token!", "x" * 65])
def test_garbage_in_any_log_is_survived(subject: str) -> None:
    """Bytes that are no message change nothing and raise nothing."""
    world = World(1)
    sealed = Identity.from_seed(bytes(32)).seal("any", [b"{}", b'{"kind":"verdict"}', b"\xff"])
    for body in (b"", b"\x00", b"[]", b"{}\n" * 3, sealed, b'{"kind":"assigned","task":7}', b"[" * 100_000):
        for log, at in (
            ("tasks", SUBJECTS.submit(subject)),
            ("results", "r.n0"),
            ("verdicts", "v"),
            ("assignments", "a"),
        ):
            world._append(log, at, [body])
    core = world.folded("tvra")

    assert not core.ledger.open
    assert core.skipped


def test_a_hundred_thousand_open_tasks_stay_small() -> None:
    """The record of an open task beyond its own bytes takes less than 2 KB."""
    import tracemalloc  # noqa: PLC0415 -- slows whatever it watches

    world = World(0)
    lines = [encode(task(f"t{i}")) for i in range(2000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(0, 2000, 500):
        world.submit(*lines[at : at + 500])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(world.core.ledger.open) == 2000
    assert taken / 2000 < 2000 + 2 * len(lines[0])


def test_why_tells_what_a_retry_waits_for() -> None:
    """A task between attempts says how many nodes it wants and when the next attempt is due."""
    world = World(2, timing=Timing(backoff_ms=60_000, backoff_limit_ms=60_000))
    deadline = dt.datetime.fromtimestamp(world.now_ms / 1000 + 500, dt.UTC).isoformat()
    world.submit(task("t", deadline=deadline))
    world.flush()
    for node in ("n0", "n1"):
        world.answer(node, "fault")
    world.verify()
    reply = why(world.core, "me.t", world.now_ms)

    assert reply.state == "waiting"
    assert "for attempt 2 of at most 5" in reply.detail
    assert "ms from now" in reply.detail
    assert "deadline" in reply.detail
    assert {each.node: each.chosen for each in reply.nodes}


def test_a_clock_that_is_set_moves_deadlines_alone() -> None:
    """Servers that were an hour behind are put right: what is due expires, and nobody counts as silent or late for it."""
    world = World(2)
    due = dt.datetime.fromtimestamp(world.now_ms / 1000 + 1800, dt.UTC).isoformat()
    world.submit(task("t", deadline=due), task("u"))
    world.flush()
    world.core.ahead_ms = 3_600_000
    world.turn()
    world.flush()

    assert [(each.task, each.status) for each in world.decisions(Abandoned)] == [("me.t", "expired")]
    assert len(world.decisions(Assigned)) == 2
    assert world.core.registry.counts()["healthy"] == 2


def test_a_verdict_names_the_submission_that_owned_the_name() -> None:
    """Two submissions under one name, the first refused: whoever reads TASKS and VERDICTS before ASSIGNMENTS tells them apart."""
    world = World(1)
    world.submit(task("t", work={"args": [1]}), task("t"))
    world.flush()
    world.answer("n0")
    world.verify()

    assert snapshot(world.folded("tdvar")) == snapshot(world.folded("vatrd"))


def test_a_second_submission_brings_the_verdict_again() -> None:
    """The leader is told to publish the verdict at its sequence; after a restart only for what was asked lately."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.answer("n0")
    world.verify()
    world._append("tasks", SUBJECTS.submit("me"), [world.logs["tasks"][0].body])
    world.core.fold_tasks(world.logs["tasks"][-1])
    live = world.core.decide(world.now_ms).again
    soon, late = world.folded("vatrd"), world.folded("vatrd")
    soon.lead("soon", world.now_ms + 1_000)
    late.lead("late", world.now_ms + 100_000)

    assert live == [("me.t", 1)]
    assert soon.decide(world.now_ms + 1_000).again == live
    assert late.decide(world.now_ms + 100_000).again == []


def test_lines_of_a_newer_peer_are_no_damage() -> None:
    """A kind that is not known is passed over in both logs with one writer, and the lines beside it count."""
    world = World(1)
    world._append("assignments", "a", [b'{"kind":"newer"}', encode(Leader(epoch=4, leader="c"))])
    newer = Identity.generate().seal(VERDICTS, [b'{"kind":"newer"}', encode(Leader(epoch=9, leader="v"))])
    world._append("verdicts", "v", [newer])
    core = world.folded("tvra")

    assert core.skipped == 0
    assert core.epoch == 4


def beats(world: World, node: str, *listed: str) -> list[CancelAttempt]:
    """What the node is told to stop when its heartbeat lists these attempts."""
    world.held[node] = {key: world.held[node].get(key) for key in listed}  # type: ignore[misc]
    before = len(world.told)
    world.beat(node)
    world._carry_out(world.core.take_instructions())
    lines = [
        line
        for subject, body in world.told[before:]
        if subject == SUBJECTS.assign(node)
        for line in body.split(b"\n")
    ]
    return [decode(line, decoder(CancelAttempt)) for line in lines]


def test_a_node_that_missed_a_cancel_is_told_again_once_the_end_is_durable() -> None:
    """A heartbeat that lists an attempt of a task that is given up: before the log has it nobody is told, after that each time."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.cancel("t")
    decided = len(world.pending)
    before = beats(world, "n0", "me.t#1")
    world.flush()
    after = beats(world, "n0", "me.t#1")
    world.verify()
    judged = beats(world, "n0", "me.t#1")

    assert decided == 1
    assert before == []
    assert after == judged == [CancelAttempt(task="me.t", attempt=1)]
    assert beats(world, "n0", "me.other#1", "me.t", "me.t#x", "#") == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_new_leader_tells_again_who_missed_a_cancel(kept: bool) -> None:  # noqa: FBT001
    """That the end of a task is durable is known from the log and from a checkpoint, too."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    world.cancel("t")
    world.flush()
    if kept:
        world.resume(world.checkpoint())
    else:
        world.restart()
    world.flush()

    assert beats(world, "n0", "me.t#1") == [CancelAttempt(task="me.t", attempt=1)]
    assert not world.core.attempts.nodes(), "and its room is free"


def test_an_attempt_that_outlives_a_verdict_may_end() -> None:
    """A replica that still runs when its task is verified is not stopped: its answer counts for its node."""
    world = World(3)
    world.submit(task("t", verify=QUORUM))
    world.flush()
    slow = attempts(world, "me.t")[0].nodes[2]
    for node in attempts(world, "me.t")[0].nodes[:2]:
        world.answer(node)
    world.verify()

    assert [each.status for each in world.verdicts()] == ["verified"]
    assert beats(world, slow, "me.t#1") == []


def test_each_decision_about_a_task_is_told_with_how_it_came_in() -> None:
    """To whom it goes, why it was refused, why it was given up; who leads and which nodes there are is no task's affair."""
    world = World()
    world.submit(task("a"))
    world.submit({"id": "b", "work": {}})
    tokens = [token for _, token in world.pending]
    world.flush()
    world.cancel("a")
    tokens += [token for _, token in world.pending]
    STEPS.on = True
    with capture_logs() as said:
        for token in tokens:
            tell(token)

    assert sorted((line["event"], line["task"], line["path"]) for line in said) == [
        ("abandoned", "me.a", "path-1"),
        ("assigned", "me.a", "path-1"),
        ("refused", "me.b", "path-2"),
    ]
