"""What each command prints with `--json`: the one list, by command, from which docs/cli.md is made and against which a test holds real answers.

The words for each field are those that stand below it in its struct. Stable means: within a minor version no field goes away, changes its type
or its meaning; there may be more of them, so a script must not mind fields that it does not know.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect as kinds

from ambient import ClusterHealth
from ambient.audit import Report
from ambient.backup import Manifest
from ambient.cli.checking import Checked
from ambient.cli.failing import Failed
from ambient.cli.gateway import TokenMade, TokensEnded, TokenShown
from ambient.cli.ledger import Balance, Carried, Energy
from ambient.cli.nodes import Topped, Watched
from ambient.cli.processes import Server
from ambient.cli.shown import AccountShown, Broken, ProofShown, ReceiptShown
from ambient.cli.status import Status
from ambient.cli.tasks import Cancelled, Submitted
from ambient.cli.users import UserAdded, UserRemoved, UserShown
from ambient.cluster.described import ClusterDescribed
from ambient.demo.stage import Demonstrated
from ambient.finding import Finding
from bus.messages import DrainReply, NodeView, TaskView, Verdict, WhyReply

__all__ = ["ANSWERS", "FAILED", "PROCESSES", "Answer", "Field", "fields", "lacking"]


class Answer(NamedTuple):
    """One document a call, or one a line for as long as the command runs; of one of these types."""

    says: str
    types: tuple[Any, ...]
    a_line_each: bool = False


class Field(NamedTuple):
    """A field of a struct: its name, its type in words of JSON, and what it means (empty where nobody wrote it down)."""

    name: str
    kind: str
    means: str


FAILED = Failed
"""What any command prints that ends with an error."""

PROCESSES = ("node", "coordinator", "verifier", "anchor", "gateway", "trace")
"""Commands that print nothing but their logs."""

_RECEIPTS = (ReceiptShown, AccountShown, ProofShown, Broken)

ANSWERS = {
    "run": Answer("The verdict.", (Verdict,)),
    "submit": Answer("The task's name.", (Submitted,)),
    "result": Answer("The verdict.", (Verdict,)),
    "cancel": Answer("Whether it was asked for, and the state before.", (Cancelled,)),
    "why": Answer("Where the task stands, and the reason node by node.", (WhyReply,)),
    "tasks": Answer("Tasks, newest first.", (list[TaskView],)),
    "nodes": Answer("Nodes.", (list[NodeView],)),
    "top": Answer("Nodes with their rates, sorted.", (list[Topped],), a_line_each=True),
    "watch": Answer("Services, nodes, tasks and rates.", (Watched,), a_line_each=True),
    "check": Answer("What was found out about the module.", (Checked,)),
    "health": Answer("Who leads, and who stands by.", (ClusterHealth,)),
    "doctor": Answer("What was examined.", (list[Finding],)),
    "balance": Answer("What the account holds.", (Balance,)),
    "energy": Answer("What the month took.", (Energy,)),
    "credit": Answer("The order, and whether it is carried out.", (Carried,)),
    "burn": Answer("The order, and whether it is carried out.", (Carried,)),
    "audit": Answer("Every promise, violation and open task.", (Report,)),
    "receipt": Answer("What the receipt shows.", (ReceiptShown,)),
    "verify": Answer("What the file shows, or where it breaks.", _RECEIPTS),
    "up": Answer("What `cluster.json` says, once all of it runs.", (ClusterDescribed,)),
    "demo": Answer("What was shown.", (Demonstrated,)),
    "server": Answer("Where it listens, once it does.", (Server,)),
    "node drain": Answer("How the node is when the wait ended.", (DrainReply,)),
    "node undrain": Answer("How the node is when the wait ended.", (DrainReply,)),
    "backup": Answer("What is in the backup.", (Manifest,)),
    "restore": Answer("What was in the backup.", (Manifest,)),
    "node status": Answer("What the node says of itself.", (Status,)),
    "token": Answer("The tokens that there are.", (list[TokenShown],)),
    "token list": Answer("The tokens that there are.", (list[TokenShown],)),
    "token create": Answer("The token, once.", (TokenMade,)),
    "user": Answer("Those who are let in.", (list[UserShown],)),
    "user list": Answer("Those who are let in.", (list[UserShown],)),
    "user add": Answer("Who is let in now.", (UserAdded,)),
    "user remove": Answer("Whether there was such a user.", (UserRemoved,)),
    "token revoke": Answer("How many tokens are ended.", (TokensEnded,)),
}
"""By command; `PROCESSES` print none."""


def fields(*types: Any) -> dict[str, list[Field]]:
    """The fields of these types (of a member, where one is a list) and of every struct in them, by the struct's name."""
    found: dict[str, list[Field]] = {}
    for struct in _structs(kinds.multi_type_info(types)):
        means = _means(struct.cls)
        rows = [
            Field(each.encode_name, _worded(each.type), means.get(each.name, "")) for each in struct.fields
        ]
        if struct.tag_field is not None:
            rows.insert(0, Field(struct.tag_field, f"`{struct.tag}`", "Which kind of document it is."))
        found[struct.cls.__name__] = rows
    return found


def _structs(waiting: Any) -> Iterator[kinds.StructType]:
    """Each once, in the order in which they come up."""
    seen: set[type] = set()
    queue = list(waiting)
    while queue:
        kind = queue.pop(0)
        if isinstance(kind, kinds.StructType):
            if kind.cls not in seen:
                seen.add(kind.cls)
                yield kind
                queue += [each.type for each in kind.fields]
        else:
            queue += _inner(kind)


def _inner(kind: kinds.Type) -> list[kinds.Type]:
    """The types that a collection or a choice is made of."""
    match kind:
        case kinds.Metadata():
            return [kind.type]
        case kinds.UnionType():
            return list(kind.types)
        case kinds.DictType():
            return [kind.value_type]
        case kinds.TupleType():
            return list(kind.item_types)
        case kinds.CollectionType():
            return [kind.item_type]
    return []


_WORDS: dict[type[kinds.Type], str] = {
    kinds.NoneType: "null",
    kinds.BoolType: "boolean",
    kinds.IntType: "integer",
    kinds.FloatType: "number",
    kinds.StrType: "string",
    kinds.BytesType: "base64",
    kinds.AnyType: "anything",
}


def _worded(kind: kinds.Type) -> str:
    """A type as people say it."""
    match kind:
        case kinds.StructType():
            words = kind.cls.__name__
        case kinds.LiteralType():
            words = " or ".join(f"`{each}`" for each in kind.values)
        case kinds.UnionType():
            ordered = sorted(kind.types, key=lambda each: isinstance(each, kinds.NoneType))
            words = " or ".join(dict.fromkeys(map(_worded, ordered)))
        case kinds.DictType():
            words = f"object of {_worded(kind.value_type)}"
        case kinds.TupleType() | kinds.CollectionType():
            words = f"list of {', '.join(map(_worded, _inner(kind)))}"
        case kinds.Metadata():
            words = _worded(kind.type)
        case _:
            words = _WORDS[type(kind)]
    return words


def _means(struct: type) -> dict[str, str]:
    """By field, the words that stand below it in the source of the struct or of one that it extends."""
    found: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        if kind.__module__ in ("builtins", "msgspec", "msgspec._core"):
            continue
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(written, ast.ClassDef)  # noqa: S101 -- the source of a class is one
        for field, below in zip(written.body, written.body[1:], strict=False):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    found[name] = " ".join(words.split())
    return found


def lacking() -> Iterator[str]:
    """Fields of answers of which nobody wrote down what they mean."""
    for struct, rows in fields(
        FAILED, *(kind for answer in ANSWERS.values() for kind in answer.types)
    ).items():
        yield from (f"{struct}.{row.name}" for row in rows if not row.means)
