"""What a verdict says, as far as a receipt speaks of it, and whether a node's result was judged as the verdict says.

The verdict's line is JSON whose every byte is in the log; fields that this reader does not know change nothing here.
"""

from typing import Any, NamedTuple

from anchor.receipt.errors import Malformed
from anchor.receipt.statement import read_json
from anchor.receipt.text import bytes_of

__all__ = ["Verdict", "accepted_by", "read_verdict"]

_STATUSES = ("verified", "failed", "cancelled", "expired")
_SAME = ("exit_code", "output_digest", "trace", "reason")
"""Fields in which a result must equal the verdict that accepts it, besides its status: what nodes agree on."""
_ASKED = ("spec", "module", "input")
"""And in which every result that counts must equal it: what was asked."""


class Verdict(NamedTuple):
    """The fields of a verdict that matter to whoever holds a receipt; `fields` are all of them."""

    task: str
    status: str
    output: bytes | None
    output_digest: str
    agree: tuple[str, ...]
    dissent: tuple[str, ...]
    policy: str
    fields: dict[str, Any]

    @property
    def said(self) -> str:
        """What came out, in words."""
        reason = str(self.fields.get("reason", ""))[:200]
        if not self.output_digest:
            return reason or "no answer was accepted"
        names = ", ".join(self.agree[:8]) + (" and others" if len(self.agree) > 8 else "")  # noqa: PLR2004 -- enough to read
        dissent = f", {len(self.dissent)} dissented" if self.dissent else ""
        why = f" ({reason})" if reason else ""
        return f"output sha256:{self.output_digest}{why}, module sha256:{self.fields.get('module', '')}, agreed by {names}{dissent}"


def read_verdict(line: bytes) -> Verdict:
    """A verdict's line. Raises `Malformed` naming the field."""
    fields = read_json("verdict", line)
    if fields.get("kind") != "verdict":
        raise Malformed("verdict.kind", f"must be 'verdict', not {str(fields.get('kind'))[:40]!r}")
    status = _text(fields, "status")
    if status not in _STATUSES:
        raise Malformed("verdict.status", f"must be one of {', '.join(_STATUSES)}, not {status[:40]!r}")
    output = _text(fields, "output")
    return Verdict(
        task=_text(fields, "task"),
        status=status,
        output=bytes_of("verdict.output", output) if fields.get("output") is not None else None,
        output_digest=_text(fields, "output_digest"),
        agree=_names(fields, "agree"),
        dissent=_names(fields, "dissent"),
        policy=_policy(fields.get("verify")),
        fields=fields,
    )


def _text(fields: dict[str, Any], name: str) -> str:
    found = fields.get(name) or ""
    if not isinstance(found, str):
        raise Malformed(f"verdict.{name}", "must be a string")
    return found


def _names(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    found = fields.get(name, [])
    if (
        not isinstance(found, list)
        or not all(isinstance(each, str) for each in found)
        or len(set(found)) != len(found)
    ):
        raise Malformed(f"verdict.{name}", "must be a list of different names")
    return tuple(found)


def _policy(verify: object) -> str:
    """The policy in words. It is left out of a verdict where it is `signature`."""
    if verify is None:
        verify = {"kind": "signature"}
    if not isinstance(verify, dict):
        raise Malformed("verdict.verify", "must be an object")
    if verify.get("kind") == "signature":
        return "'signature' (one node is believed)"
    if verify.get("kind") == "quorum":
        return f"'quorum' ({verify.get('agree')} of {verify.get('of')} nodes must agree)"
    return f"{str(verify.get('kind'))[:40]!r}, which this version does not know"


def accepted_by(verdict: Verdict, result: dict[str, Any], *, agrees: bool) -> str:
    """Why a result cannot be one that the verdict counts so; empty if it can."""
    if result.get("task") != verdict.task:
        return f"it is of task {str(result.get('task'))[:130]!r}"
    for name in _ASKED:
        if result.get(name) != verdict.fields.get(name):
            return f"its {name} is not the one of the verdict"
    status = "ok" if verdict.status == "verified" else verdict.status
    same = result.get("status") == status and all(
        (result.get(name) or "") == (verdict.fields.get(name) or "") for name in _SAME
    )
    if same == agrees:
        return ""
    return (
        "it says something else than the verdict"
        if agrees
        else "it says what the verdict says, and is counted as dissent"
    )
