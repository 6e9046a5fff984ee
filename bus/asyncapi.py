"""The AsyncAPI 3.0 document of a cluster: every subject, who sends on it, who receives, and which messages.

The table `CHANNELS` is the one list of all subjects; the addresses come from `bus.subjects`, the messages from `bus.messages`, so
neither can be spelt wrongly here. Schemas are referred to, not repeated: see `bus.schemas`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bus.messages import INLINE_LIMIT_BYTES
from bus.signing import GOODBYE, HELLO, RESULTS, TELEMETRY, VERDICTS
from bus.subjects import TOKEN_PATTERN, Subjects
from bus.wire import MAX_LINES, MAX_MESSAGE_BYTES

__all__ = ["CHANNELS", "Channel", "document"]

_CONTENT_TYPE = "application/jsonl"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_ANY = Subjects("CLUSTER")

_PARAMETERS = {
    "cluster": "The cluster's name, `home` by default.",
    "client": "The client's name: it owns its tasks, blobs and notices.",
    "task": "The task's id, unique for its client.",
    "node": "The node's id; it belongs to the first key that was enrolled under it.",
    "owner": "The client or node that stored the blob.",
    "digest": "SHA-256 of the blob, 64 hex digits.",
    "chunk": "The chunk's number, from 0.",
    "service": "`coordinator`, `verifier` or `anchor`.",
    "mark": "What the lease's value names after its holder, hexadecimal.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One subject. `log` names the stream that keeps it, `signed` the payload types of its signed batches.

    With `replies` it is a question: the sender asks and the receiver answers. `packed` are messages that travel inside of others.
    """

    name: str
    address: str
    says: str
    sends: tuple[str, ...]
    receives: tuple[str, ...]
    messages: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    log: str = ""
    signed: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()


def _question(service: str, endpoint: str, asks: str, question: str, answer: tuple[str, ...]) -> Channel:
    return Channel(
        name=f"{service}-{endpoint}",
        address=_ANY.service(service, endpoint),
        says=asks,
        sends=("node",) if question == "Hello" else ("client",),
        receives=(service,),
        messages=(question,),
        replies=(*answer, "ErrorReply"),
        signed=(HELLO,) if question == "Hello" else (),
    )


CHANNELS = (
    Channel(
        name="tasks-submit",
        address=_ANY.submit("{client}"),
        says="Tasks, one or many lines. As a request it is answered by the stream's PubAck: from then on the task is not lost.",
        sends=("client",),
        receives=("coordinator",),
        messages=("TaskSpec",),
        log="tasks",
    ),
    Channel(
        name="tasks-cancel",
        address=_ANY.cancel("{client}"),
        says="A client withdraws tasks of its own.",
        sends=("client",),
        receives=("coordinator",),
        messages=("CancelRequest",),
        log="tasks",
    ),
    Channel(
        name="assignments",
        address=_ANY.assignments,
        says="What was decided. One writer, fenced by the expected last sequence.",
        sends=("coordinator",),
        receives=("coordinator", "verifier"),
        messages=("Leader", "Enrolled", "Assigned", "Abandoned", "Refused"),
        log="assignments",
    ),
    Channel(
        name="results",
        address=_ANY.results("{node}"),
        says="What a node claims, signed by it.",
        sends=("node",),
        receives=("verifier",),
        messages=("Result",),
        log="results",
        signed=(RESULTS,),
    ),
    Channel(
        name="verdicts",
        address=_ANY.verdicts,
        says="What is accepted: one verdict per task, ever. One writer, fenced by the expected last sequence.",
        sends=("verifier",),
        receives=("coordinator", "verifier", "anchor", "client"),
        messages=("Leader", "Verdict", "Inconclusive", "Late"),
        log="verdicts",
        signed=(VERDICTS,),
    ),
    Channel(
        name="anchors",
        address=_ANY.anchors,
        says="What was published, ordered and paid: checkpoints of the log of verdicts, operators' orders, states of the ledger, transactions on Bitcoin. One writer, fenced by the expected last sequence.",
        sends=("anchor",),
        receives=("anchor", "coordinator", "client"),
        messages=(
            "Leader",
            "Opened",
            "Signed",
            "Unlogged",
            "Ordered",
            "LedgerState",
            "Built",
            "Broadcast",
            "Mined",
            "Reorged",
            "Final",
            "Stranded",
        ),
        log="anchors",
        packed=("Credit", "Burn"),
    ),
    Channel(
        name="blobs",
        address=_ANY.blob("{owner}", "{digest}", "{chunk}"),
        says="One chunk of a blob, at most 256 KiB of bare bytes; the header `Avcp-Chunks` says how many there are.",
        sends=("client", "node"),
        receives=("client", "node", "coordinator", "verifier"),
        messages=("BlobChunk",),
        log="blobs",
    ),
    Channel(
        name="telemetry",
        address=_ANY.telemetry("{node}"),
        says="A node's heartbeat every 2 s, and its goodbye. The envelope's payload type says which.",
        sends=("node",),
        receives=("coordinator",),
        messages=("Telemetry", "Goodbye"),
        signed=(TELEMETRY, GOODBYE),
    ),
    Channel(
        name="assign",
        address=_ANY.assign("{node}"),
        says="What the coordinator tells a node.",
        sends=("coordinator",),
        receives=("node",),
        messages=("Assign", "CancelAttempt", "EnrolAgain", "Drain", "Undrain"),
    ),
    Channel(
        name="done",
        address=_ANY.done("{client}.{task}"),
        says="The verdict of a task that was submitted alone.",
        sends=("verifier",),
        receives=("client",),
        messages=("Verdict",),
    ),
    Channel(
        name="done-batch",
        address=_ANY.done("{client}"),
        says="The verdicts of tasks that were submitted in messages of many lines, in lines.",
        sends=("verifier",),
        receives=("client",),
        messages=("Verdict",),
    ),
    Channel(
        name="progress",
        address=_ANY.progress("{client}.{task}"),
        says="What happens before the verdict to a task that was submitted alone.",
        sends=("coordinator",),
        receives=("client",),
        messages=("Progress",),
    ),
    Channel(
        name="rejected",
        address=_ANY.rejected("{client}"),
        says="Why a submission is no task: the field and what is allowed there.",
        sends=("coordinator",),
        receives=("client",),
        messages=("Refused",),
    ),
    _question("coordinator", "hello", "A node asks to be enrolled.", "Hello", ("HelloReply",)),
    _question("coordinator", "nodes", 'Which nodes are there? The question is `{}`, or `{"offset":n}` from the n-th on.', "Nothing", ("NodesReply",)),
    _question("coordinator", "why", "Why is a task where it is?", "WhyRequest", ("WhyReply",)),
    _question("coordinator", "tasks", "Which tasks are there?", "TasksRequest", ("TasksReply",)),
    _question("coordinator", "drain", "An operator wants a node to have no more work: how far is it?", "DrainRequest", ("DrainReply",)),
    _question("coordinator", "undrain", "An operator wants a node to have work again.", "UndrainRequest", ("DrainReply",)),
    _question("coordinator", "health", "How is the coordinator? The question is `{}`.", "Nothing", ("ServiceHealth",)),
    _question("coordinator", "instances", "How is each coordinator? Every one answers, whether it leads or stands by. The question is `{}`.", "Nothing", ("ServiceHealth",)),
    _question("verifier", "instances", "How is each verifier? Every one answers, whether it leads or stands by. The question is `{}`.", "Nothing", ("ServiceHealth",)),
    Channel(
        name="pulse",
        address=_ANY.service("{service}", "pulse.{mark}"),
        says='Is the holder of a lease connected? It is subscribed as long as it is; the answer is empty, and "no responders" is one.',
        sends=("coordinator", "verifier", "anchor"),
        receives=("coordinator", "verifier", "anchor"),
        messages=("Nothing",),
    ),
    _question("coordinator", "board", "How is every node, in columns?", "BoardRequest", ("BoardReply",)),
    _question("coordinator", "room", "Are new tasks taken, and if not, when again? The question is `{}`.", "Nothing", ("RoomReply",)),
    _question("anchor", "order", "An operator's order to the ledger, to be written to ANCHORS.", "Ordered", ("OrderReply",)),
    _question("anchor", "balance", "What does an account hold?", "BalanceRequest", ("BalanceReply",)),
    _question("anchor", "energy", "What did the work of a node, or for a client, take in a month?", "EnergyRequest", ("EnergyReply",)),
    _question("anchor", "account", "What proves what an account holds, or what its month took?", "AccountReceiptRequest", ("AccountReceiptReply",)),
    _question("coordinator", "purse", "What may a client still offer?", "PurseRequest", ("PurseReply",)),
    _question("verifier", "verdict", "What came of these tasks?", "VerdictRequest", ("Verdict", "Pending")),
    _question("verifier", "reputation", "How often was each node right? The question is `{}`.", "Nothing", ("ReputationReply",)),
    _question("verifier", "health", "How is the verifier? The question is `{}`.", "Nothing", ("ServiceHealth",)),
    _question("anchor", "receipt", "What proves the verdict of this task?", "ReceiptRequest", ("ReceiptReply",)),
    _question("anchor", "checkpoint", "What is the newest checkpoint, and does it begin with the tree that I know?", "CheckpointRequest", ("CheckpointReply",)),
    _question("anchor", "cosign", "Cosignatures of a witness for the newest checkpoint.", "CosignRequest", ("CosignReply",)),
    _question("anchor", "health", "How is the anchor? The question is `{}`.", "Nothing", ("ServiceHealth",)),
    _question("anchor", "instances", "How is each anchor? Every one answers, whether it leads or stands by. The question is `{}`.", "Nothing", ("ServiceHealth",)),
)  # fmt: skip
"""Every subject of a cluster."""

_DESCRIPTION = f"""Subjects and messages of one Ambient VCP cluster, for clients in any language; docs/wire.md tells it as prose.

A body is JSON Lines in UTF-8: one JSON document per line, one or many lines, with the same meaning. The payload schema is that of a line.
A body holds at most {MAX_LINES} lines and {MAX_MESSAGE_BYTES} bytes; inputs and outputs over {INLINE_LIMIT_BYTES} bytes are blobs.
Names of clusters, clients, tasks and nodes match {TOKEN_PATTERN}.
In submissions unknown fields are refused by name; everywhere else they are ignored.
A signed message begins with an Envelope line: DSSE over the RFC 6962 Merkle root of the lines that follow, by an Ed25519 key."""

_SECURITY = """Who may connect, publish and subscribe is for the NATS server to say (users, NKEYs, JWTs, TLS). The subjects are cut
so that permissions can follow them: a client publishes on `tasks.*.<client>`, `blobs.<client>.>` and `svc.>`, and subscribes to
`done.<client>`, `done.<client>.>`, `progress.<client>.>` and `rejected.<client>`; a node publishes on `results.<node>`, `telemetry.<node>`,
`blobs.<node>.>` and `svc.coordinator.hello`, and subscribes to `assign.<node>`. Who is no operator is denied
`svc.coordinator.drain` and `svc.coordinator.undrain`. Results, telemetry, hellos, goodbyes and verdicts are signed besides."""


def document(types: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    """The whole document; `types` are the messages that have a schema of their own."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ambient VCP",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": _CONTENT_TYPE,
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "title": "What `ambient up` starts",
                "description": " ".join(_SECURITY.split()),
            }
        },
        "channels": {channel.name: _channel(channel) for channel in CHANNELS} | {"inbox": _inbox()},
        "operations": dict(_operations()),
        "components": {
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
            "messages": {name: _message(kind) for name, kind in sorted(types.items())} | _FOREIGN,
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    address = channel.address.replace("CLUSTER", "{cluster}")
    notes = [channel.says]
    if channel.log:
        notes.append(
            f"Kept in the JetStream stream `{_ANY.stream(channel.log).replace('CLUSTER', '<cluster>')}`."
        )
    if channel.signed:
        notes.append(
            f"Signed: the first line is an Envelope of type {' or '.join(f'`{t}`' for t in channel.signed)}."
        )
    if channel.packed:
        notes.append(f"Packed into these, as bytes: {' or '.join(f'`{each}`' for each in channel.packed)}.")
    names = (*channel.messages, *(("Envelope",) if channel.signed else ()))
    return {
        "address": address,
        "title": channel.says.split(".")[0].split(":")[0],
        "description": " ".join(notes),
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS if f"{{{name}}}" in address
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }  # fmt: skip


def _operations() -> Iterable[tuple[str, dict[str, Any]]]:
    """For each subject one operation per party, tagged with it: the document is the whole cluster's, not one program's."""
    for channel in CHANNELS:
        sent = (*channel.messages, *(("Envelope",) if channel.signed else ()))
        replies = _replies(channel)
        for action, parties in (("send", channel.sends), ("receive", channel.receives)):
            for party in parties:
                operation: dict[str, Any] = {
                    "action": action,
                    "title": f"{party} {action}s {channel.name}",
                    "channel": {"$ref": f"#/channels/{channel.name}"},
                    "messages": _of_channel(channel.name, sent),
                    "tags": [{"name": party}],
                }
                # PubAck comes from the server, so it is no reply of the coordinator's.
                if replies and (channel.replies or action == "send"):
                    operation["reply"] = {
                        "address": {
                            "location": "$message.header#/reply",
                            "description": "The reply subject of the request, as NATS carries it.",
                        },
                        "channel": {"$ref": "#/channels/inbox"},
                        "messages": _of_channel("inbox", replies),
                    }
                yield f"{party}-{action}s-{channel.name}", operation


def _replies(channel: Channel) -> tuple[str, ...]:
    # A submission may be sent as a request; then the stream itself answers.
    return ("PubAck",) if channel.name == "tasks-submit" else channel.replies


def _inbox() -> dict[str, Any]:
    names = sorted({name for channel in CHANNELS for name in _replies(channel)})
    return {
        "address": None,
        "title": "The reply subject of a request",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _of_channel(channel: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    name = kind.__name__
    return {
        "name": name,
        "title": name,
        "summary": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "contentType": _CONTENT_TYPE,
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"./schemas/{name}.json"}},
    }


_FOREIGN: dict[str, dict[str, Any]] = {
    "Nothing": {
        "name": "Nothing",
        "title": "Nothing",
        "summary": "The question of an endpoint that needs no more than to be asked.",
        "contentType": "application/json",
        "payload": {"type": "object", "maxProperties": 0},
    },
    "BlobChunk": {
        "name": "BlobChunk",
        "title": "BlobChunk",
        "summary": "Bare bytes of a blob.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                "Avcp-Chunks": {"type": "string", "pattern": "^[1-9][0-9]{0,3}$"},
                "Nats-Expected-Last-Subject-Sequence": {"const": "0"},
            },
            "required": ["Avcp-Chunks"],
        },
    },
    "PubAck": {
        "name": "PubAck",
        "title": "PubAck",
        "summary": "JetStream's own answer: the stream and the sequence under which the message is stored.",
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {"stream": {"type": "string"}, "seq": {"type": "integer", "minimum": 1}},
        },
    },
}
