"""When what died is started again."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ambient.cluster import ClusterPlan, RestartPolicy


@given(st.lists(st.floats(min_value=0, max_value=9.9), min_size=1, max_size=50))
def test_pauses_double_up_to_ten_seconds(lives_s: list[float]) -> None:
    """A process that dies young is not started in a tight loop, and never waits longer than 10 s."""
    policy = RestartPolicy()
    pauses = [policy.died(lived_s) for lived_s in lives_s]

    assert pauses[0] == 0.1
    assert pauses == sorted(pauses)
    assert max(pauses) <= 10.0
    assert policy.count == len(lives_s)


def test_a_process_that_lived_well_begins_anew() -> None:
    """One crash a day is met at once, however many there were before."""
    policy = RestartPolicy()
    for _ in range(8):
        policy.died(0.0)

    assert policy.died(3600.0) == 0.1


def test_a_plan_gives_every_process_its_own_name_and_folder(tmp_path: Path) -> None:
    """Names are unique, and nobody writes into another's folder."""
    plan = ClusterPlan(
        data=tmp_path,
        nodes=2,
        coordinators=2,
        verifiers=2,
        extra_nodes=("liar",),
        node_options={"liar": ("--fault", "lie")},
    )
    services = plan.services("nats://127.0.0.1:1")
    folders = [p.command[p.command.index("--data") + 1] for p in services if "--data" in p.command]

    assert len({p.name for p in services}) == len(services) == 7
    assert len(set(folders)) == len(folders) == 7
    assert next(p for p in services if p.name == "liar").command[-2:] == ("--fault", "lie")
