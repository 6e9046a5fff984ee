"""What was cut from VERDICTS is forgotten: memory is that of the retention, not of all time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.messages import Pending
from bus.signing import Identity
from folds.remembered import Remembered
from tests.verifier.scripted import Script, result
from verifier import settled
from verifier.settings import VerifierSettings
from verifier.term import Term


@pytest.fixture(autouse=True)
def _little_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is closed goes into runs at once."""
    monkeypatch.setattr(settled, "WARM", 1)
    monkeypatch.setattr(Remembered.to_seal, "__defaults__", (2,))


@asynccontextmanager
async def serving(bus: Bus, data: Path, name: str) -> AsyncIterator[Term]:
    """A term of a verifier, and what it knows."""
    settings = VerifierSettings(
        data=data, url=bus.url, cluster=bus.subjects.cluster, name=name, kept_bytes=0, checkpoint_s=0.05
    )
    term = Term(bus, Identity.load(settings.identity), settings)
    running = asyncio.create_task(term.serve())
    try:
        yield term
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await term.close()


async def _judged(script: Script, first: int, count: int) -> None:
    for number in range(first, first + count):
        decision = await script.assign(f"me.t{number}", "n1")
        await script.claim(result(f"me.t{number}", "n1", decision=decision))
        await script.verdict(f"me.t{number}")


async def _until_known(term: Term, count: int) -> None:
    async with asyncio.timeout(60):
        while len(term.core.settled) != count:
            await asyncio.sleep(0.02)


async def test_verdicts_that_were_cut_are_forgotten_by_leader_and_standby(bus: Bus, tmp_path: Path) -> None:
    """And by nobody before; who asks for one of them hears that there is none, and the others are answered beside it."""
    async with (
        Script(bus) as script,
        serving(bus, tmp_path / "v1", "v1") as leader,
        await Bus.connect(bus.url, cluster=bus.subjects.cluster) as other,
    ):
        await script.enrol("n1")
        await _judged(script, 0, 8)
        async with serving(other, tmp_path / "v2", "v2") as standby:
            for term in (leader, standby):
                await _until_known(term, 8)
                async with asyncio.timeout(60):
                    while term.core.settled.old.in_memory > 1:  # nearly all of what is not warm is in runs
                        await asyncio.sleep(0.02)
            end = (await bus.js.stream_info(bus.subjects.stream("verdicts"))).state.last_seq
            await bus.js.purge_stream(bus.subjects.stream("verdicts"), seq=end)
            answers = await script.ask_verdicts(["me.t0", "me.t7"])
            for term in (leader, standby):
                async with asyncio.timeout(60):
                    while "me.t0" in term.core.settled:
                        await asyncio.sleep(0.02)
            assert leader.core.settled.has("me.t7", (0, 0))
            await _judged(script, 8, 3)

    assert answers[0] == Pending("me.t0")
    assert not isinstance(answers[1], Pending)
