"""A node and a client of version 0.1, made of what was recorded then: a bare NATS connection, a key of its own, and nothing of ours.

What it sends are the recorded lines with names, numbers and digests put in; how it signs is written down here once more, from docs/wire.md.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, Self

import nats
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.bus.previous import Sample, samples, valid

__all__ = ["OldPeer"]

_TYPE = "application/vnd.ambient.{}+merkle"


def _sample(subject: str, holding: bytes = b"") -> Sample:
    return next(each for each in samples(subject) if holding in each.body)


def _changed(sample: Sample, **changes: Any) -> bytes:
    """The recorded line with these fields changed, and nothing else."""
    return json.dumps(json.loads(sample.members[0]) | changes, separators=(",", ":")).encode()


class OldPeer:
    """Use as an async context manager. What it hears is in `told` (its node) and `heard` (its client), each checked by the schemas of then."""

    def __init__(self, url: str, cluster: str, node: str = "old") -> None:
        self.node = node
        self.told: list[dict[str, Any]] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.open: dict[str, dict[str, Any]] = {}
        self.draining = False
        self._url = url
        self._root = f"avcp.{cluster}"
        self._key = Ed25519PrivateKey.generate()
        self._nats: Client = Client()
        self._beats: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect and listen."""
        self._nats = await nats.connect(self._url)
        await self._nats.subscribe(f"{self._root}.assign.{self.node}", cb=self._on_instructions)
        for notice in ("done.me.>", "progress.me.>", "rejected.me"):
            await self._nats.subscribe(f"{self._root}.{notice}", cb=self._on_notice)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
        await self._nats.close()

    async def until[T](self, fact: Callable[[], T], timeout_s: float = 60) -> T:
        """Wait until something true was heard."""
        async with asyncio.timeout(timeout_s):
            while not (found := fact()):
                await asyncio.sleep(0.02)
            return found

    # Its client

    async def store(self, module: bytes) -> None:
        """Put a small module into the blob store."""
        digest = hashlib.sha256(module).hexdigest()
        await self._nats.request(
            f"{self._root}.blobs.me.{digest}.0", module, headers={"Avcp-Chunks": "1"}, timeout=10
        )

    async def submit(self, recorded: bytes) -> None:
        """Submit the task that was recorded, byte for byte; it is stored when this returns."""
        sample = _sample("tasks.submit.", recorded)
        await self._stored("tasks.submit.me", sample.body, {})

    async def cancel(self) -> None:
        """Withdraw the task that was withdrawn when it was recorded."""
        await self._stored("tasks.cancel.me", _sample("tasks.cancel.").body, {})

    async def ask(self, endpoint: str, answer: str, body: bytes | None = None) -> list[dict[str, Any]]:
        """Put a question as it was recorded (or this one), and check each line of the answer as that version would."""
        question = _sample(f"svc.{endpoint}").body if body is None else body
        reply = await self._nats.request(f"{self._root}.svc.{endpoint}", question, timeout=10)
        lines = reply.data.split(b"\n")
        for line in lines:
            valid("Pending" if b'"kind":"pending"' in line else answer, line)
        return [json.loads(line) for line in lines]

    async def _on_notice(self, message: Msg) -> None:
        subject = message.subject.removeprefix(f"{self._root}.")
        name = {"done": "Verdict", "progress": "Progress", "rejected": "Refused"}[subject.partition(".")[0]]
        for line in message.data.split(b"\n"):
            valid(name, line)
            self.heard.append((subject, json.loads(line)))

    # Its node

    async def enrol(self) -> dict[str, Any]:
        """Say hello as it was recorded, and beat from then on."""
        hello = _changed(_sample("svc.coordinator.hello"), node=self.node)
        while True:
            try:
                body = self._seal("hello", hello)
                reply = await self._nats.request(f"{self._root}.svc.coordinator.hello", body, timeout=5)
                break
            except nats.errors.NoRespondersError:
                await asyncio.sleep(0.05)
        valid("HelloReply", reply.data)
        self._beats = asyncio.create_task(self._beat())
        return dict(json.loads(reply.data))

    async def _beat(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(0.1)

    async def beat(self) -> None:
        """One heartbeat, as it was recorded."""
        more = {"draining": True} if self.draining else {}
        telemetry = _changed(
            _sample("telemetry.", b'"open":['),
            node=self.node,
            at_ms=time.time_ns() // 1_000_000,
            open=list(self.open),
            **more,
        )
        await self._nats.publish(f"{self._root}.telemetry.{self.node}", self._seal("telemetry", telemetry))

    async def claim(self, assign: dict[str, Any], spec: bytes) -> None:
        """Claim what was claimed of that task when it was recorded."""
        result = _changed(
            _sample("results.", b'"task":"me.t2"'),
            decision=assign["decision"],
            node=self.node,
            spec=hashlib.sha256(spec).hexdigest(),
        )
        self.open.pop(f"{assign['task']}#{assign['attempt']}", None)
        await self._stored(f"results.{self.node}", self._seal("results", result), {})

    async def leave(self) -> None:
        """Say goodbye as it was recorded."""
        goodbye = _changed(_sample("telemetry.", b'"kind":"goodbye"'), node=self.node)
        if self._beats is not None:
            self._beats.cancel()
        await self._nats.publish(f"{self._root}.telemetry.{self.node}", self._seal("goodbye", goodbye))

    async def _on_instructions(self, message: Msg) -> None:
        names = {"assign": "Assign", "cancel": "CancelAttempt", "hello": "EnrolAgain", "drain": "Drain"}
        for line in message.data.split(b"\n"):
            told = json.loads(line)
            if told["kind"] not in names:
                continue  # as it did: not an instruction that it knows
            valid(names[told["kind"]], line)
            self.told.append(told)
            key = f"{told.get('task')}#{told.get('attempt')}"
            if told["kind"] == "assign":
                self.open[key] = told
            elif told["kind"] == "cancel":
                self.open.pop(key, None)
            elif told["kind"] == "drain":
                self.draining = True

    # The wire

    async def _stored(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        ack = await self._nats.request(f"{self._root}.{subject}", body, headers=headers, timeout=10)
        assert json.loads(ack.data)["seq"], ack.data

    def _seal(self, what: str, member: bytes) -> bytes:
        """A signed body of one member: its leaf is the root."""
        kind = _TYPE.format(what).encode()
        root = hashlib.sha256(b"\0" + member).digest()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(root), root)
        envelope = {
            "payloadType": kind.decode(),
            "keyid": self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
            "sig": base64.b64encode(self._key.sign(pae)).decode(),
        }
        return json.dumps(envelope, separators=(",", ":")).encode() + b"\n" + member
