"""Who may say and hear what on the bus: the roles of a cluster as a NATS server enforces them.

Guarantees that `configuration` gives each user what its role needs and no more, and that no name or key can break out of the file.

Nodes and clients live in an account of their own, without streams, and reach the logs through the imports listed here. Subject permissions alone
would not do: a server sends an answer to whatever reply subject a question names, without asking whether the questioner may publish
there, so one who may read a blob could have it answered into the log of decisions. Across accounts an answer goes back to the questioner's.

Left to others: that whoever holds a service's key is a service. Services may make consumers, and a consumer delivers anywhere in their account.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from bus import nkeys
from bus.errors import Malformed
from bus.subjects import Subjects, token

__all__ = ["FAR", "ROLES", "Permissions", "Role", "User", "configuration", "permissions"]

Role = Literal["node", "site", "client", "coordinator", "verifier", "anchor", "gateway", "reader", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
_EDGE = ("node", "site", "client")
_NEAR = "$JS.API"
FAR = "$JS.hub.API"
"""How JetStream is asked from another account or a leaf server, by the domain of `deploy/nats/server.conf`: under the plain name it is that account's own."""
_KEY = re.compile(r"[0-9a-f]{64}")
_ASKED = {
    "coordinator": ("nodes", "why", "tasks", "health", "instances", "board", "room", "purse"),
    "verifier": ("verdict", "reputation", "health", "instances"),
    "anchor": (
        "receipt",
        "checkpoint",
        "cosign",
        "order",
        "balance",
        "energy",
        "account",
        "health",
        "instances",
    ),
}
"""The questions that any client may ask. `order` and `cosign` are believed by the signature in them."""
_LOGS = ("tasks", "assignments", "results", "verdicts", "anchors", "blobs", "checkpoints")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the servers know: a role, a name (a token), the public key (64 hex digits). Raises `Malformed`."""

    role: Role
    name: str
    key: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise Malformed("role", f"must be one of {', '.join(ROLES)}, not {self.role!r}")
        token("name", self.name)
        if not _KEY.fullmatch(self.key):
            raise Malformed("key", "must be a public key: 64 hex digits, as `ambient node status` shows it")


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that may be published to and subscribed to; `answers`: also whatever a question that was received names as its reply."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


def permissions(role: Role, name: str, subjects: Subjects) -> Permissions:
    """What `name` in `role` may do in a cluster, but for its inbox."""
    asked = [subjects.service(service, each) for service, all_ in _ASKED.items() for each in all_]
    if role in ("node", "site"):
        # A site's server speaks for nodes whose names it alone knows, and passes on what is for their inboxes.
        inboxes = ("_INBOX.>",) if role == "site" else ()
        node = "*" if role == "site" else name
        said = [subjects.results(node), subjects.telemetry(node), subjects.service("coordinator", "hello")]
        said += [subjects.blob(node, "*", "*"), *_blobs(subjects, FAR)]
        return Permissions((*said, f"{FAR}.INFO", *inboxes), (subjects.assign(node), *inboxes))
    if role == "client":
        said = [
            subjects.submit(name),
            subjects.cancel(name),
            subjects.blob(name, "*", "*"),
            *_blobs(subjects, FAR),
        ]
        heard = [
            subjects.done(name),
            subjects.done(f"{name}.*"),
            subjects.progress(f"{name}.*"),
            subjects.rejected(name),
        ]
        return Permissions((*said, *asked, f"{FAR}.INFO"), tuple(heard))
    if role == "operator":
        return Permissions((">",), (">",))
    return _service(role, subjects, asked)


def _blobs(subjects: Subjects, api: str = _NEAR) -> list[str]:
    """Reading blobs, and nothing else of their stream."""
    stream = subjects.stream("blobs")
    return [
        f"{api}.{call}"
        for call in (
            f"DIRECT.GET.{stream}",
            f"DIRECT.GET.{stream}.>",
            f"STREAM.MSG.GET.{stream}",
            f"STREAM.INFO.{stream}",
        )
    ]


def _reading(subjects: Subjects) -> list[str]:
    """Reading every log, by a consumer or message by message."""
    calls = []
    for stream in map(subjects.stream, _LOGS):
        calls += [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}"]
        calls += [f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}.>"]
        calls += [f"$JS.API.CONSUMER.CREATE.{stream}", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"]
    return [*calls, "$JS.API.INFO"]


def _leading(role: Role, subjects: Subjects) -> list[str]:
    """Making the logs where they are missing, the lease, and checkpoints in its own name."""
    bucket = subjects.leases
    made = [f"$JS.API.STREAM.CREATE.{stream}" for stream in (*map(subjects.stream, _LOGS), f"KV_{bucket}")]
    lease = [f"$JS.API.STREAM.{call}.KV_{bucket}" for call in ("INFO", "MSG.GET")]
    lease += [f"$JS.API.DIRECT.GET.KV_{bucket}.>", f"$KV.{bucket}.{role}"]
    kept = [subjects.blob("*", "*", "*", kind="checkpoints"), subjects.checkpoint(role), f"$JS.API.STREAM.PURGE.{subjects.stream('checkpoints')}"]  # fmt: skip
    return [*made, *lease, *kept, subjects.service(role, "pulse.*")]


def _service(role: Role, subjects: Subjects, asked: list[str]) -> Permissions:
    said, heard = [*_reading(subjects), *asked], list[str]()
    if role in ("coordinator", "verifier", "anchor"):
        said += _leading(role, subjects)
        heard += [subjects.service(role, ">"), "$SRV.>"]
    match role:
        case "coordinator":
            said += [
                subjects.assignments,
                subjects.assign("*"),
                subjects.progress("*.*"),
                subjects.rejected("*"),
                subjects.done(">"),
            ]
            full = subjects.stream("full")
            said += [
                f"$JS.API.STREAM.{call}"
                for call in (f"UPDATE.{subjects.stream('tasks')}", f"CREATE.{full}", f"DELETE.{full}")
            ]
            said += [
                f"$JS.API.STREAM.PURGE.{subjects.stream(log)}"
                for log in _LOGS
                if log not in ("blobs", "checkpoints")
            ]
            heard += [subjects.telemetry("*")]
        case "verifier":
            said += [subjects.verdicts, subjects.done(">")]
        case "anchor":
            said += [subjects.anchors]
        case "gateway":
            said += [subjects.submit("*"), subjects.cancel("*"), subjects.blob("*", "*", "*")]
            said += [subjects.service("coordinator", each) for each in ("drain", "undrain")]
            heard += [
                subjects.done(">"),
                subjects.progress(">"),
                subjects.rejected("*"),
                subjects.telemetry("*"),
            ]
        case _:
            heard += [
                subjects.done(">"),
                subjects.progress(">"),
                subjects.rejected("*"),
                subjects.telemetry("*"),
            ]
    return Permissions(tuple(said), tuple(heard), answers=bool(heard))


def configuration(users: Iterable[User], subjects: Subjects) -> str:
    """The accounts of a NATS server, as its configuration file includes them."""
    found = sorted(users, key=lambda user: (ROLES.index(user.role), user.name))
    lines = [
        "accounts {",
        "  # The logs, and whoever writes them or reads them all.",
        "  LOGS {",
        "    jetstream: enabled",
    ]
    lines += _block(
        "exports",
        [
            *_exports("service", *_services(subjects), *_blobs(subjects)),
            *_exports("stream", *_notices(subjects)),
        ],
    )
    lines += _block("users", [_row(user, subjects) for user in found if user.role not in _EDGE])
    lines += [
        "  }",
        "  # Nodes and clients: of the logs they reach what is imported here, and nothing else.",
        "  EDGE {",
    ]
    lines += [f'    mappings: {{ "{_NEAR}.>": "{FAR}.>" }}']
    lines += _block("imports", _imports(subjects))
    lines += _block("users", [_row(user, subjects) for user in found if user.role in _EDGE])
    return "\n".join([*lines, "  }", "}", ""])


def _services(subjects: Subjects) -> list[str]:
    """What nodes and clients say into the other account: questions, and what is stored there."""
    said = [
        subjects.submit("*"),
        subjects.cancel("*"),
        subjects.results("*"),
        subjects.telemetry("*"),
        subjects.blob("*", "*", "*"),
    ]
    asked = [subjects.service(service, each) for service, all_ in _ASKED.items() for each in all_]
    return [*said, subjects.service("coordinator", "hello"), *asked]


def _notices(subjects: Subjects) -> list[str]:
    """What nodes and clients hear from there."""
    return [
        subjects.assign("*"),
        subjects.done("*"),
        subjects.done("*.*"),
        subjects.progress("*.*"),
        subjects.rejected("*"),
    ]


def _exports(kind: str, *subjects: str) -> list[str]:
    # Of these every instance of a service answers for itself.
    many = ', response_type: "stream"'
    return [f'{{ {kind}: "{each}"{many if each.endswith(".instances") else ""} }}' for each in subjects]


def _imports(subjects: Subjects) -> list[str]:
    asked = [f'{{ service: {{ account: LOGS, subject: "{each}" }} }}' for each in _services(subjects)]
    both = zip(_blobs(subjects), _blobs(subjects, FAR), strict=True)
    far = [f'{{ service: {{ account: LOGS, subject: "{near}" }}, to: "{far}" }}' for near, far in both]
    return [
        *asked,
        *far,
        *(f'{{ stream: {{ account: LOGS, subject: "{each}" }} }}' for each in _notices(subjects)),
    ]


def _row(user: User, subjects: Subjects) -> str:
    may = permissions(user.role, user.name, subjects)
    inbox = f"{nkeys.inbox(user.key)}.>"
    publish, subscribe = (
        ", ".join(f'"{each}"' for each in (*listed, inbox)) for listed in (may.publish, may.subscribe)
    )
    answers = ', allow_responses: { max: 1, expires: "1m" }' if may.answers else ""
    granted = f"publish: {{ allow: [{publish}] }}, subscribe: {{ allow: [{subscribe}] }}{answers}"
    return f"# {user.role} {user.name} {user.key}\n      {{ nkey: {nkeys.public(user.key)}, permissions: {{ {granted} }} }}"


def _block(name: str, rows: list[str]) -> list[str]:
    return [f"    {name}: [", *(f"      {row}" for row in rows), "    ]"]
