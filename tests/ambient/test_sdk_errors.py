"""What a caller does wrong is said before anything is sent, with field, limit and what to do."""

import datetime as dt
import sys
from pathlib import Path

import pytest

import ambient
from ambient import policies
from ambient.modules import read_module
from ambient.submission import Form, as_bytes

WASM = b"\0asm\1\0\0\0"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (None, ambient.Signature()),
        ("signature", ambient.Signature()),
        ("quorum:2/3", ambient.Quorum(2, 3)),
        (ambient.Quorum(3, 5), ambient.Quorum(3, 5)),
    ],
)
def test_policies_are_text_or_typed(text, policy) -> None:
    """What the command line takes, the SDK takes, too."""
    assert policies.policy(text) == policy


@pytest.mark.parametrize(
    "verify", ["quorum", "quorum:2", "quorum:0/0", "quorum:1/3", "majority", "quorum:4/3", 3]
)
def test_a_policy_that_is_none_is_rejected_by_name(verify) -> None:
    """Also a minority: two verdicts could be right at once."""
    with pytest.raises(ambient.TaskRejected) as caught:
        policies.policy(verify)
    assert caught.value.field == "verify"


def rejected(
    *args: object, content: bytes = b"", task_id: str = "t", **options: object
) -> ambient.TaskRejected:
    with pytest.raises(ambient.TaskRejected) as caught:
        Form(DIGEST, options).line(task_id, args, content)
    return caught.value


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limits": {"memory": 1}}, "limits"),
        ({"limits": {"memory_mb": 0}}, "limits.memory_mb"),
        ({"limits": ambient.Limits(fuel=0)}, "limits.fuel"),
        ({"place": {"region": "a b"}}, "place.region"),
        ({"priority": 10}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"deadline": dt.datetime(2030, 1, 1)}, "deadline"),  # noqa: DTZ001 -- the point of the test
        ({"verfy": "signature"}, "verfy"),
        ({"env": {"A": "x" * 5000}}, "work.env"),
        ({"entry": "x" * 300}, "work.entry"),
    ],
)
def test_bad_options_are_named(options, field) -> None:
    """Field and limit are those of the contract; a typo is no option."""
    assert rejected(**options).field.startswith(field)


def test_bad_arguments_and_ids_are_named() -> None:
    """Arguments are numbers or text; an id is a token; a task has a size."""
    assert rejected("x" * 5000).field == "work.args[0]"
    assert rejected(float("nan")).field == "work.args[0]"
    assert "JSON" in rejected(object()).limit
    assert rejected(task_id="a.b").field == "id"
    assert rejected(*["x" * 4096] * 256, env={"k": "\n" * 4096}).limit.startswith("a task holds at most")
    with pytest.raises(ambient.TaskRejected, match="input: give bytes or text, not int"):
        as_bytes(3)  # type: ignore[arg-type]


def test_modules_that_are_none_are_explained(tmp_path: Path) -> None:
    """A missing file, a file of something else and WAT with an error each say what to give instead."""
    source = tmp_path / "main.c"
    source.write_text("int main() {}")
    with pytest.raises(ambient.ModuleUnusable, match=r"cannot read module 'nowhere\.wasm' \(No such file"):
        read_module("nowhere.wasm")
    with pytest.raises(ambient.ModuleUnusable, match="compile the source to wasm32-wasip1"):
        read_module(source)
    with pytest.raises(ambient.ModuleUnusable, match="no valid WAT"):
        read_module("(module (func $x")


def test_wat_without_wasmtime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without the engine is told what to install."""
    monkeypatch.setitem(sys.modules, "wasmtime", None)

    with pytest.raises(ambient.MissingExtra, match=r"ambient-vcp\[node\]"):
        read_module("(module)")


async def test_names_and_digests_are_checked_here(vcp) -> None:
    """No message is spent on a name or digest that cannot be right."""
    with pytest.raises(ambient.TaskRejected, match="id: 1 to 64"):
        await vcp.run(WASM, id="a.b")
    with pytest.raises(ambient.TaskRejected, match="64 lower-case hex"):
        await vcp.run("sha256:abc")
    with pytest.raises(ambient.TaskRejected, match="only tasks of client 'me'"):
        await vcp.cancel("you.t1")
    with pytest.raises(ambient.TaskRejected, match="in_flight"):
        [pair async for pair in vcp.map(WASM, [b""], in_flight=0)]
    with pytest.raises(ambient.TaskRejected, match="inputs: give an iterable"):
        [pair async for pair in vcp.map(WASM, "one input")]
    with pytest.raises(ambient.TaskRejected, match="inputs: give an iterable"):
        await vcp.submit_many(WASM, b"one input")
    with pytest.raises(ambient.QuestionRejected, match="limit"):
        await vcp.tasks(limit=0)


async def test_a_cluster_that_nobody_set_up_is_named(server) -> None:
    """NATS is there, the cluster is not: that is said instead of waiting."""
    async with ambient.connect(server.url, cluster="nobodys", client="me") as vcp:
        with pytest.raises(ambient.ClusterMissing, match="ambient up"):
            await vcp.run(DIGEST, timeout_s=10)
        with pytest.raises(ambient.ServiceMissing, match="ambient doctor"):
            await vcp.nodes()
        health = await vcp.health()
    assert (health.coordinator, health.verifier, health.ok) == (None, None, False)


def test_a_bad_client_name_is_rejected_before_connecting() -> None:
    """A client is a token: it stands in subjects."""
    with pytest.raises(ambient.Rejected, match="client: 1 to 64"):
        ambient.connect(client="a.b")


def test_every_error_has_one_base() -> None:
    """`except ambient.AmbientError` catches all that the SDK raises."""
    errors = [getattr(ambient, name) for name in ambient.__all__]
    raised = [e for e in errors if isinstance(e, type) and issubclass(e, BaseException)]

    assert len(raised) > 15
    assert all(issubclass(error, ambient.AmbientError) for error in raised)
