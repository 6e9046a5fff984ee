"""Bodies that break the contract, made from a seed, and the submissions among them with how many refusals each must bring."""

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from bus.wire import MAX_MESSAGE_BYTES

__all__ = ["Bad", "bad_submissions", "garbage"]


class Bad(NamedTuple):
    """A submission's body, and how many of its lines are no tasks."""

    body: bytes
    refusals: int = 1


def garbage(seed: int) -> list[bytes]:
    """Bodies that are no message of any kind."""
    rng = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    noise = [rng.randbytes(size).replace(b"\n", b"") for size in (1, 7, 100, 5_000, 100_000)]
    return [
        *noise,
        b"\0",
        b"\xff\xfe{",
        b'{"kind":"\xc3\x28"}',
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"-1e400",
        b"[" * 100_000,
        b'{"kind":' * 50_000,
        b'{"node":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"kind":"' + b"x" * 500_000 + b'"}',
        b'{"kind":"assign","task":"\\ud800"}',
        b"{}",
        b"{}\n" * 1_000,
        b"{}\n" * 1_001,
        b"x" * (MAX_MESSAGE_BYTES + 1),
    ]


def bad_submissions(good: dict[str, Any], seed: int) -> Iterator[Bad]:
    """What a client could get wrong in a task like `good`, and what it could do on purpose."""
    rng = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    whole = json.dumps(good).encode()
    for body in garbage(seed):
        many = body.count(b"\n")
        yield Bad(body, many if 1 < many <= 1_000 else 1)
    yield Bad(b"")
    yield Bad(b"\n \n")
    for _ in range(20):
        yield Bad(whole[: rng.randrange(1, len(whole))])
    for changed in _changed(good):
        yield Bad(json.dumps(changed).encode())
    yield Bad(whole[:-1] + b',"priority":' + b"9" * 5_000 + b"}")
    yield Bad(whole[:-1] + b',"priority":1.5}')
    yield Bad(whole[:-1] + b',"reward":1e300}')
    yield Bad(whole[:-1] + b',"' + b"k" * 500_000 + b'":1}')
    yield Bad(whole.replace(b'"id"', b'"id":"\xff","ix"'))


def _changed(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    work = good["work"]
    yield from (
        {**good, "id": each} for each in ("a.b", "", "ä", "x" * 65, 7, None.__class__.__name__ + ".", "a\n")
    )
    yield from ({**good, "id": f"other.{good['id']}"} for _ in range(1))
    yield from ({**good, "work": {**work, "kind": each}} for each in ("docker", 1, None, [], "WASM"))
    yield from (
        {**good, "work": {**work, "module": each}} for each in ("", "sha256:", "sha256:" + "A" * 64, 3)
    )
    yield {**good, "work": {**work, "module": "sha256:" + "a" * 64}}
    yield {**good, "work": {**work, "input_blob": "sha256:" + "b" * 64, "entry": "_start", "args": []}}
    yield from (
        {**good, "work": {**work, "args": each}}
        for each in ([], [1], [1, "x"], [1, 2, 3], [2**70, 1], {"a": 1})
    )
    yield from ({**good, "work": {**work, "entry": each}} for each in ("nothing", "", "\0", "x" * 257, 1))
    yield {**good, "work": {**work, "input": "aGk="}}
    yield {**good, "work": {**work, "input": "not base64!"}}
    yield from (
        {**good, "verify": each}
        for each in (
            "quorum",
            {"kind": "vote"},
            {"kind": "quorum", "agree": 1, "of": 2},
            {"kind": "quorum", "agree": 99, "of": 99},
        )
    )
    yield from (
        {**good, "limits": each}
        for each in (
            {"memory_mb": 0},
            {"fuel": -1},
            {"wall_ms": 1e9},
            {"output_bytes": 2**40},
            {"cores": 1},
            [],
        )
    )
    yield from (
        {**good, "place": each}
        for each in ({"region": "a b"}, {"node": "x.y"}, {"min_score": 2}, {"labels": {"a b": "c"}})
    )
    yield from (
        {**good, "deadline": each} for each in ("soon", "2026-01-01", "0001-01-01T00:00:00+14:00", 1e18)
    )
    yield from ({**good, field: -1} for field in ("priority", "max_attempts", "reward"))
    yield {**good, "verfy": {}}
