"""Energy: counters that wrap, a model that is declared, and tasks that are never charged more than was used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.energy import Counter, EnergyMeter, Ledger, Model, Rapl, find_source


def zone(root: Path, name: str, label: str, energy_uj: int, range_uj: int = 1_000_000) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(label + "\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**9 - 1), max_size=30))
def test_a_counter_that_wraps_loses_nothing(range_uj: int, steps: list[int]) -> None:
    """Whatever the counter's range: with less than one turn between readings the sum is exact."""
    steps = [step % (range_uj + 1) for step in steps]
    counter = Counter(range_uj, 0)
    position = 0
    total = 0.0
    for step in steps:
        position = (position + step) % (range_uj + 1)
        total += counter.advance(position)

    assert total == pytest.approx(sum(steps) / 1e6)


def test_rapl_adds_packages_and_memory_and_nothing_twice(tmp_path: Path) -> None:
    """`core` is a part of its package, `psys` and the mmio twin count the same energy again."""
    package = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    psys = zone(tmp_path, "intel-rapl:1", "psys", 0)
    twin = zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0)
    source = find_source(10, 65, tmp_path)
    for folder in (core, psys, twin):
        (folder / "energy_uj").write_text("999999")
    (package / "energy_uj").write_text("2000100")
    (memory / "energy_uj").write_text("500000")

    assert source.method == "measured:rapl"
    assert source.read(1.0) == pytest.approx(2.5)
    assert source.read(1.0) == 0.0


def test_a_counter_that_vanishes_counts_as_nothing(tmp_path: Path) -> None:
    """A package that goes offline does not stop the meter."""
    package = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    source = find_source(10, 65, tmp_path)
    (package / "energy_uj").unlink()

    assert source.read(1.0) == 0.0


def test_without_counters_the_declared_model_is_named(tmp_path: Path) -> None:
    """Idle watts at rest, max watts at full load, in between in proportion; the method says that it is an estimate."""
    assert Rapl.find(tmp_path) is None
    model = find_source(10, 65, tmp_path)
    assert isinstance(model, Model)

    assert model.method == "estimated:tdp"
    assert model.joules(0.0, 2.0) == 20
    assert model.joules(1.0, 2.0) == 130
    assert model.joules(0.5, 1.0) == 37.5
    assert model.joules(7.0, 1.0) == 65


def test_the_model_reads_this_machine(tmp_path: Path) -> None:
    """On a real processor it stays between idle and maximum."""
    model = find_source(10, 65, tmp_path)

    assert 10 <= model.read(1.0) <= 65


@given(
    st.integers(1, 64),
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.floats(0, 1e4), st.floats(0.05, 10)),
            st.tuples(st.just("charge"), st.floats(0, 1e3), st.just(0.0)),
        ),
        max_size=60,
    ),
)
def test_tasks_are_never_charged_more_than_was_used(
    cores: int, moves: list[tuple[str, float, float]]
) -> None:
    """Whatever order readings and tasks come in, and however much processor time tasks claim."""
    ledger = Ledger(cores)
    charged = 0.0
    for move, amount, seconds in moves:
        if move == "add":
            ledger.add(amount, seconds)
        else:
            joules = ledger.charge(amount)
            assert joules >= 0
            charged += joules
    assert charged <= ledger.total_j + 1e-9
    assert charged == pytest.approx(ledger.charged_j)


def test_a_task_on_one_of_two_cores_is_charged_half() -> None:
    """P · t / C: one core of two for one second at 40 W is 20 J."""
    ledger = Ledger(2)
    ledger.add(40, 1)

    assert ledger.charge(1.0) == pytest.approx(20, abs=1e-5)
    assert ledger.charge(1.0) == pytest.approx(20, abs=1e-5)
    assert ledger.charge(1.0) == pytest.approx(0, abs=1e-5)


def test_the_meter_reads_no_oftener_than_useful() -> None:
    """Readings under 50 ms apart are not taken; the next one covers the whole time."""

    class Steady:
        method = "measured:test"

        def read(self, seconds: float) -> float:
            return 10 * seconds

    meter = EnergyMeter(Steady(), now_s=0.0, cores=1)
    meter.update(0.01)
    assert meter.total_j == 0
    meter.update(0.1)
    assert meter.total_j == pytest.approx(1.0)
    assert meter.charge(50) == pytest.approx(0.5, abs=1e-5)
    assert meter.method == "measured:test"
