"""The whole check of a receipt: link by link from the verdict to the blocks on top of its commitment, and what that shows, in words.

Guarantees that `check` returns only where every link that the receipt claims holds, and every demand of whoever checks; the first that does
not is named by the error. What a receipt does not claim (no block yet, no evidence) is no error, unless it was demanded: it is
said in `Report.unproven`.

Left to whoever asks: which keys and which chain of blocks to trust (`Demands`). Without them the report says so.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from anchor.receipt.chain import Shown, check_chain, moment
from anchor.receipt.commitment import commitment
from anchor.receipt.container import Receipt, read_receipt
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.note import COSIGNATURE, ED25519, Checkpoint, check_note
from anchor.receipt.proof import check_inclusion
from anchor.receipt.statement import RESULTS, VERDICTS, Statement, read_json
from anchor.receipt.verdict import Verdict, accepted_by, read_verdict

__all__ = ["Demands", "Report", "check", "check_receipt"]


@dataclass(slots=True, kw_only=True)
class Report(Shown):
    """What the receipt of a verdict showed."""

    verdict: Verdict
    signer: str
    checkpoint: Checkpoint
    leaf: int
    witnessed: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """The key (hex) that signed each node's result, as far as evidence is there."""


def check(data: bytes, demands: Demands | None = None) -> Report:
    """Check a receipt's bytes. Raises `Malformed` or `LinkBroken`."""
    return check_receipt(read_receipt(data), demands or Demands())


def check_receipt(receipt: Receipt, demands: Demands) -> Report:
    """Check a receipt that was read. Raises `Malformed` or `LinkBroken`."""
    demands.of_a_verdict()
    signer = receipt.verdict.signer(VERDICTS, "verdict's signature")
    verdict = read_verdict(receipt.verdict.member)
    checkpoint = check_inclusion(receipt.proof, leaf_hash(receipt.verdict.leaf))
    report = Report(verdict=verdict, signer=signer, checkpoint=checkpoint, leaf=receipt.proof.leaf)
    _check_verdict(report, demands)
    _check_log(receipt, report, demands)
    _check_evidence(receipt.evidence, report, demands)
    _check_chain(receipt, report, demands)
    return report


def _check_verdict(report: Report, demands: Demands) -> None:
    verdict, signer = report.verdict, report.signer
    if demands.task is not None and verdict.task != demands.task:
        raise LinkBroken("task", f"the receipt is of {verdict.task}, not of {demands.task}")
    if demands.verifiers and signer not in demands.verifiers:
        raise LinkBroken("verdict's signer", f"key {signer} is none of those that you trust")
    if verdict.output is not None and sha256(verdict.output).hexdigest() != verdict.output_digest:
        raise LinkBroken("output", "the verdict's output is not the one whose digest the verdict names")
    report.proven.append(f"Task {verdict.task} ended as {verdict.status}: {verdict.said}.")
    report.proven.append(f"The verdict is signed by key {signer}, under the policy {verdict.policy}.")
    if not demands.verifiers:
        report.unproven.append(
            f"That key {signer[:16]}… is the verifier that you trust: compare it, or name it with --verifier-key."
        )


def _check_log(receipt: Receipt, report: Report, demands: Demands) -> None:
    log, *witnesses = receipt.keys
    checkpoint = report.checkpoint
    if log.kind != ED25519 or log.name != checkpoint.origin:
        raise LinkBroken(
            "log's key", f"the first key must be that of the log {checkpoint.origin}, it is {log}"
        )
    signed = check_note(receipt.proof.note, list(receipt.keys))
    if missing := [key for key in receipt.keys if key not in signed]:
        raise LinkBroken(f"signature of {missing[0].name}", "its key is in the receipt, its signature is not")
    if len(receipt.proof.note.signatures) != len(signed):
        raise LinkBroken("checkpoint", "it bears signatures of keys that the receipt does not name")
    if any(key.kind != COSIGNATURE for key in witnesses):
        raise LinkBroken("witnesses' keys", "every key but the log's own must be that of a cosigner")
    if demands.logs and log not in demands.logs:
        raise LinkBroken("log's key", f"{log} is none of those that you trust")
    counted = [key for key in witnesses if key in demands.witnesses]
    if len(counted) < demands.quorum:
        raise LinkBroken(
            "witnesses",
            f"{demands.quorum} cosignatures of your witnesses are needed, these are {len(counted)}",
        )
    report.witnessed = {key.name: signed[key] for key in witnesses}
    report.proven.append(
        f"It is entry {report.leaf} of the log {checkpoint.origin}, whose key {log} signed a state of {checkpoint.size} entries."
    )
    report.proven.extend(
        f"Witness {name} saw that state at {moment(at)}." for name, at in report.witnessed.items()
    )
    if not demands.logs:
        report.unproven.append(
            f"That {log} is the log that you trust: compare it, or name it with --log-key."
        )
    if not counted:
        report.unproven.append("That everybody is shown the same log: no witness that you named has signed.")


def _check_evidence(evidence: tuple[Statement, ...], report: Report, demands: Demands) -> None:
    verdict = report.verdict
    for at, statement in enumerate(evidence):
        result = read_json(f"evidence[{at}]", statement.member)
        node = str(result.get("node", ""))
        link = f"evidence of node {node[:64]}"
        key = statement.signer(RESULTS, link)
        if node in report.nodes or node not in (*verdict.agree, *verdict.dissent):
            raise LinkBroken(link, "the verdict does not count it, or counts it once and it is there twice")
        if why := accepted_by(verdict, result, agrees=node in verdict.agree):
            raise LinkBroken(link, why)
        report.nodes[node] = key
    counted = len(verdict.agree) + len(verdict.dissent)
    if demands.evidence and len(report.nodes) < counted:
        raise LinkBroken("evidence", f"the verdict counts {counted} results, {len(report.nodes)} are shown")
    if report.nodes:
        keys = ", ".join(f"{node} (key {key[:16]}…)" for node, key in report.nodes.items())
        report.proven.append(
            f"{len(report.nodes)} of {counted} counted results are shown, each signed by its node and judged rightly: {keys}."
        )
        report.unproven.append("That each of these keys is its node's: for that stands the verifier.")
    if len(report.nodes) < counted:
        report.unproven.append(
            f"What {counted - len(report.nodes)} of {counted} counted nodes answered: for that stands the verifier."
        )
    if not counted:
        report.unproven.append("What nodes answered: no answer was accepted.")
    elif len(verdict.agree) == 1:
        report.unproven.append("That the answer is right: one node alone gave it.")
    else:
        report.unproven.append("That the answer is right, beyond that these nodes agree.")


def _check_chain(receipt: Receipt, report: Report, demands: Demands) -> None:
    checkpoint = report.checkpoint
    committed = commitment(checkpoint.origin, checkpoint.size, checkpoint.root)
    check_chain(receipt.bitcoin, committed, report, demands, what="The log's state")
    if receipt.bitcoin is None:
        latest = min(report.witnessed.values(), default=None)
        report.unproven.append(
            "When the verdict was there: no Bitcoin block is shown"
            + ("." if latest is None else f", and only witnesses say that it was at {moment(latest)}.")
        )
