"""Configured witnesses are asked over HTTP, as C2SP tlog-witness has it: a real one in a process of its own, and such as misbehave."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from anchor.errors import SettingsRefused
from anchor.notes import key_of, sign
from anchor.receipt.check import Demands, check
from anchor.receipt.note import Checkpoint, read_key
from anchor.settings import AnchorSettings
from anchor.witnessing import Conflict, WitnessRefused, cosignature_of, request_of
from bus.connection import Bus
from bus.signing import Identity
from tests.anchor import receipts, witness
from tests.anchor.scripted import WAIT_S, anchoring, judge, receipt

ROOT = Path(__file__).parents[2]
KEY = read_key(witness.vkey())
ORIGIN = "log.example"


@asynccontextmanager
async def witnessed(folder: Path, log: str, mode: str = "") -> AsyncIterator[str]:
    """A witness that knows this log; its URL."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 -- a test may wait for its disk
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.anchor.witness", str(folder), log, mode),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/w"
    finally:
        process.kill()
        await process.wait()


def settings(tmp_path: Path, url: str, **more: Any) -> dict[str, Any]:
    chosen = {"key": tmp_path / "key", "origin": ORIGIN, "witnesses": (f"{KEY} {url}",), "quorum": 1}
    return chosen | more


def log_key(tmp_path: Path) -> str:
    return str(key_of(Identity.load(tmp_path / "key"), ORIGIN))


async def test_a_witness_cosigns_each_state_over_restarts_of_either(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """It persists what it saw; an anchor that begins anew learns that from its 409, and proves from there."""
    log, demands = log_key(tmp_path), Demands(witnesses={KEY}, quorum=1)
    sizes = []
    for life in (1, 2):
        async with (
            witnessed(tmp_path / "w", log) as url,
            anchoring(bus.url, cluster, tmp_path / "a", **settings(tmp_path, url)),
        ):
            for task in (f"me.t{life}1", f"me.t{life}2"):
                await judge(bus, task)
                report = check((await receipt(bus, task)).receipt or b"", demands)
                sizes.append(report.checkpoint.size)
                assert set(report.witnessed) == {witness.NAME}

    assert sizes == sorted(sizes)
    assert sizes[-1] == 4


@pytest.mark.parametrize("mode", ["slow", "garbage", "endless", "forged", "liar"])
async def test_a_witness_that_misbehaves_costs_its_cosignature_only(
    bus: Bus, cluster: str, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is needed receipts come as ever, without it; where one is, nothing is shown, and one that is well comes to be asked."""
    monkeypatch.setattr("anchor.witnessing._TIMEOUT_S", 0.2)
    monkeypatch.setattr("anchor.witnessing._AGAIN_S", 0.05)
    log = log_key(tmp_path)
    async with witnessed(tmp_path / "w", log, mode) as url:
        async with anchoring(bus.url, cluster, tmp_path / "a", **settings(tmp_path, url, quorum=0)):
            await judge(bus, "me.t1")
            assert check((await receipt(bus, "me.t1")).receipt or b"").witnessed == {}
        async with anchoring(bus.url, cluster, tmp_path / "a", **settings(tmp_path, url)):
            await judge(bus, "me.t2")
            assert "1 witnesses have to cosign it" in (await receipt(bus, "me.t2", "logged")).said
    (tmp_path / "w" / "witness").unlink(missing_ok=True)
    async with (
        witnessed(tmp_path / "w", log) as url,
        anchoring(bus.url, cluster, tmp_path / "a", **settings(tmp_path, url)),
    ):
        report = check((await receipt(bus, "me.t2")).receipt or b"")
        assert set(report.witnessed) == {witness.NAME}


async def test_a_witness_that_saw_more_than_this_log_has_is_never_contradicted(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """A log that was rolled back asks in vain: nothing is shown, whatever is signed."""
    log = log_key(tmp_path)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "witness").write_text(f"9 {receipts.sha256(b'x').hexdigest()[:44]}")
    async with (
        witnessed(tmp_path / "w", log) as url,
        anchoring(bus.url, cluster, tmp_path / "a", **settings(tmp_path, url)),
    ):
        with capture_logs() as logs:
            await judge(bus, "me.t1")
            async with asyncio.timeout(WAIT_S):
                while not any("it saw a state of 9 leaves" in str(each.get("reason")) for each in logs):
                    await asyncio.sleep(0.02)
        assert (await receipt(bus, "me.t1", "logged")).receipt is None


NOTE = sign(receipts.LOG, Checkpoint(receipts.ORIGIN, 5, bytes(32)))


def test_a_request_has_the_form_of_the_specification() -> None:
    """The old size, the proof, an empty line, the note as it is."""
    body = request_of(3, [bytes(32), b"\xff" * 32], NOTE).decode()

    assert body.split("\n")[:5] == [
        "old 3",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "//////////////////////////////////////////8=",
        "",
        receipts.ORIGIN,
    ]
    assert body.endswith(f"\n\n{NOTE.signatures[0]}\n")
    assert request_of(0, [], NOTE).startswith(b"old 0\n\n")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"", "cannot be read"),
        (200, b"\xff\n", "cannot be read"),
        (200, "\u2014 x AAAA\n".encode(), "cannot be read"),
        (200, f"{NOTE.signatures[0]}\n".encode(), "its own cosignature is not among those"),
        (400, b"", "malformed"),
        (403, b"", "does not trust the log's key"),
        (404, b"", "does not know the log"),
        (409, b"007\n", "cannot be read"),
        (409, b"-1\n", "cannot be read"),
        (409, b"9" * 40, "cannot be read"),
        (422, b"", "does not begin with what it saw"),
        (302, b"", "status 302"),
        (500, b"", "status 500"),
    ],
)
def test_an_answer_that_is_no_cosignature_says_why(status: int, body: bytes, said: str) -> None:
    """Each of the specification's, and each that it does not know."""
    with pytest.raises(WitnessRefused, match=said):
        cosignature_of(status, body, NOTE, KEY)


def test_a_conflict_tells_the_size_that_was_cosigned_last() -> None:
    """From where the next proof has to begin."""
    assert cosignature_of(409, b"17\n", NOTE, KEY) == Conflict(17)


@pytest.mark.parametrize("url", ["ftp://host", "nonsense", "http://"])
def test_a_witness_that_cannot_be_asked_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    """By the place of the setting."""
    with pytest.raises(SettingsRefused) as refused:
        AnchorSettings(data=tmp_path, witnesses=(f"{KEY} {url}",))
    assert refused.value.field == "witnesses[0]"
