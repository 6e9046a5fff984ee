"""An anchor on a real bus: verdicts become leaves, leaves get signed checkpoints, and tasks their receipts."""

import asyncio
from pathlib import Path

import pytest

from anchor.errors import SettingsRefused
from anchor.notes import cosign
from anchor.receipt.check import Demands, check
from anchor.receipt.merkle import is_consistent
from anchor.receipt.note import read_checkpoint, read_note
from anchor.settings import AnchorSettings
from bus.connection import Bus
from bus.errors import Malformed
from bus.messages import (
    CheckpointReply,
    CheckpointRequest,
    CosignReply,
    CosignRequest,
    Opened,
    Signed,
    Unlogged,
)
from bus.signing import VERDICTS
from bus.wire import encode
from tests.anchor import receipts, rfc6962
from tests.anchor.scripted import anchored, anchoring, checkpoints, health, judge, leaves, receipt


async def test_a_verdict_gets_a_receipt_that_holds(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """Whether it was signed alone or among others, and a task without a verdict has none."""
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path):
        await judge(bus, "me.t2", "me.t3", "me.t4")
        for task in ("me.t1", "me.t3", "me.t4"):
            reply = await receipt(bus, task)
            report = check(reply.receipt or b"", Demands(task=task, verifiers={receipts.VERIFIER.key}))

            assert report.verdict.task == task
            assert reply.evidence == ((1, 0), (2, 0), (3, 0))
        assert (await receipt(bus, "me.t9", "unknown")).receipt is None
    roots = await checkpoints(bus)

    assert roots[4] == rfc6962.mth(await leaves(bus))
    assert read_checkpoint(read_note((tmp_path / "log/checkpoint").read_bytes()).text).size == 4


async def test_what_is_no_verdict_is_no_leaf_and_says_why(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """A second verdict for a task, a broken line, a forged message: each is named in ANCHORS, and the rest goes on."""
    await judge(bus, "me.t1")
    second = await judge(bus, "me.t1", fuel=99, source=(1, 0))
    forged = receipts.VERIFIER.seal(VERDICTS, [encode(receipts.verdict("me.t2"))]).replace(b"me.t2", b"me.t3")
    forgery = (await bus.js.publish(bus.subjects.verdicts, forged)).seq
    broken = [
        encode(receipts.verdict("me.t4", source=(4, 0))),
        b'{"kind":"verdict","task":"me.t5","status":"won"}',
    ]
    mixed = (await bus.js.publish(bus.subjects.verdicts, receipts.VERIFIER.seal(VERDICTS, broken))).seq
    junk = (await bus.js.publish(bus.subjects.verdicts, b"\x00nothing")).seq
    async with anchoring(bus.url, cluster, tmp_path):
        await receipt(bus, "me.t4")
        unlogged = {line.place: line for line in await anchored(bus) if isinstance(line, Unlogged)}

        assert unlogged[second, 0].field == "task"
        assert unlogged[second, 0].limit == "a task has one verdict, and this one's is leaf 0"
        assert unlogged[second, 0].task == "me.t1"
        assert unlogged[forgery, 0].field == "sig"
        assert unlogged[mixed, 1].field == "status"
        assert (junk, 0) in unlogged
        assert len(unlogged) == 4
        assert check((await receipt(bus, "me.t1")).receipt or b"").verdict.fields["fuel"] == 1234
    assert set(await checkpoints(bus)) == {2}
    async with anchoring(bus.url, cluster, tmp_path):
        await judge(bus, "me.t6")
        await receipt(bus, "me.t6")

        assert sum(isinstance(line, Unlogged) for line in await anchored(bus)) == 4


async def test_a_name_that_is_given_again_gets_a_leaf_of_its_own(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """Once the old task was forgotten, a new one may have its name; it stands further behind in TASKS."""
    await judge(bus, "me.t1", source=(1, 0))
    await judge(bus, "me.t1", source=(9, 0), fuel=77)
    async with anchoring(bus.url, cluster, tmp_path):
        reply = await receipt(bus, "me.t1")

        assert check(reply.receipt or b"").verdict.fields["fuel"] == 77


async def signed(bus: Bus, old: int) -> CheckpointReply | None:
    """What witnesses are shown, once it is signed and larger than `old`."""
    checkpoint = bus.subjects.service("anchor", "checkpoint")
    try:
        reply = await bus.request(checkpoint, CheckpointRequest(old=old), CheckpointReply)
    except Malformed as refused:
        assert "nothing is signed yet" in str(refused)  # noqa: PT017 -- the only refusal that waiting helps
        return None
    is_whole = reply.note.count("\n") >= 4
    return reply if is_whole and read_checkpoint(read_note(reply.note.encode()).text).size > old else None


async def test_witnesses_see_that_the_log_only_grows_and_are_waited_for(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """A checkpoint is shown once as many as asked for have cosigned it; what they are given to check is a consistency proof."""
    settings = {"witnesses": (str(receipts.WITNESS_KEY),), "quorum": 1}
    checkpoint = bus.subjects.service("anchor", "checkpoint")
    cosigns = bus.subjects.service("anchor", "cosign")
    seen_size, seen_root = 0, rfc6962.mth([])
    async with anchoring(bus.url, cluster, tmp_path, **settings):
        for tasks in (["me.t1", "me.t2"], ["me.t3"]):
            await judge(bus, *tasks)
            said = await receipt(bus, tasks[-1], "logged")
            while (reply := await signed(bus, seen_size)) is None:
                await asyncio.sleep(0.01)
            note = read_note(reply.note.encode())
            state = read_checkpoint(note.text)
            proof = [bytes.fromhex(each) for each in reply.proof]

            assert "1 witnesses have to cosign it" in said.said
            assert is_consistent(seen_size, seen_root, state.size, state.root, proof)
            line = cosign(receipts.WITNESS, receipts.WITNESS_NAME, note, 1_700_000_000)
            got = await bus.request(cosigns, CosignRequest(f"{line}\n"), CosignReply)
            again = await bus.request(cosigns, CosignRequest(f"{line}\n"), CosignReply)
            assert got == again == CosignReply(size=state.size, cosigned=1, needed=1)
            shown = await receipt(bus, tasks[-1])
            demands = Demands(witnesses={receipts.WITNESS_KEY}, quorum=1)
            assert check(shown.receipt or b"", demands).witnessed == {receipts.WITNESS_NAME: 1_700_000_000}
            seen_size, seen_root = state.size, state.root
        stranger = cosign(receipts.LOG, "somebody.else", note, 1_700_000_000)
        stale = str(line).replace("AAAA", "AAAB", 1)
        for bad in (f"{stranger}\n", f"{stale}\n", "nonsense"):
            with pytest.raises(Malformed, match="lines"):
                await bus.request(cosigns, CosignRequest(bad), CosignReply)
        with pytest.raises(Malformed, match="at most 3"):
            await bus.request(checkpoint, CheckpointRequest(old=4), CheckpointReply)


async def test_a_log_has_one_key_for_ever(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """An anchor with another key keeps its hands off it, and says whose the log is."""
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path / "one"):
        await receipt(bus, "me.t1")
    with pytest.raises(SettingsRefused, match="the log of this cluster is ambient-vcp/"):
        async with anchoring(bus.url, cluster, tmp_path / "two") as task:
            await task
    lines = await anchored(bus)

    assert sum(isinstance(line, Opened) for line in lines) == 1
    assert [line.size for line in lines if isinstance(line, Signed)] == [1]


async def test_an_anchor_says_how_it_is(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """Who leads, how far each log is folded, and what is not signed yet."""
    async with anchoring(bus.url, cluster, tmp_path):
        sequence = await judge(bus, "me.t1")
        await receipt(bus, "me.t1")
        said = await health(bus)

        assert (said.service, said.name, said.leading, said.epoch) == ("anchor", "a1", True, 1)
        assert said.folded["verdicts"] == sequence
        assert said.waiting == 0


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("name", {"name": "a b"}),
        ("origin", {"origin": "with space"}),
        ("every_s", {"every_s": 0.0}),
        ("quorum", {"quorum": 1}),
        ("witnesses[0]", {"witnesses": ("nonsense",)}),
        ("witnesses[0]", {"witnesses": (str(receipts.LOG_KEY),)}),
        ("witnesses[1]", {"witnesses": (str(receipts.WITNESS_KEY),) * 2}),
    ],
)
def test_settings_that_cannot_be_used_name_their_field(
    field: str, settings: dict[str, object], tmp_path: Path
) -> None:
    """Before anything is started."""
    with pytest.raises(SettingsRefused) as refused:
        AnchorSettings(data=tmp_path, **settings)  # type: ignore[arg-type]

    assert refused.value.field == field
