"""`/api/v1/receipts`: the proof of a verdict as a file, and the check of such files, and of those of accounts.

Guarantees that a receipt that is handed out passed the check that a stranger makes of it, and that the check is that very one (`anchor.receipt`).
"""

import asyncio
from typing import Annotated

import structlog
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from anchor.receipt.account_check import AccountReport
from anchor.receipt.check import Report, check
from anchor.receipt.commitment import join
from anchor.receipt.container import read_receipt, write_receipt
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken, ReceiptError
from anchor.receipt.kinds import check_any
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.statement import Statement
from bus import leader
from bus.connection import Bus
from bus.errors import BusError
from bus.messages import ReceiptReply, ReceiptRequest
from bus.wire import split_lines
from gateway.errors import Conflict, NotFound, Unavailable
from gateway.parts import ApiRequest, Parts, full_name, parts_of, trace_of
from gateway.resources.receipts import Block, ReceiptReport
from gateway.routes.answers import problems
from gateway.routes.bodies import FILE, FileOperation, file_of
from gateway.routes.tasks import TaskPath, own_read

__all__ = ["MOST_BYTES", "block_of", "receipt", "report_of", "verify"]

_log = structlog.get_logger("gateway")
MOST_BYTES = 4 * 1024 * 1024


@get(
    "/api/v1/receipts/{task:str}",
    tags=["receipts"],
    summary="A task's receipt, as a file",
    media_type=FILE,
    responses=problems(400, 404, 409, 503)
    | {200: ResponseSpec(bytes, description="The receipt", media_type=FILE, generate_examples=False)},
)
async def receipt(request: ApiRequest, task: TaskPath) -> Response[bytes]:
    """The verdict with its proof, for `ambient verify`. 409 while no signed state of the log covers the verdict."""
    parts, trace = parts_of(request), trace_of(request)
    trace.task = name = full_name(task, trace.caller)
    data, state = await _receipt(parts, name)
    headers = {"Content-Disposition": f'attachment; filename="{name}.receipt"', "Ambient-Receipt": state}
    return Response(data, media_type=FILE, headers=headers)


async def _receipt(parts: Parts, name: str) -> tuple[bytes, str]:
    reply = await parts.asking.ask("anchor", "receipt", ReceiptRequest(name), ReceiptReply)
    if reply.receipt is None:
        if reply.state == "unknown":
            await own_read(parts, name)
            story = await parts.stories.tell(name)  # raises where there is no such task
            is_to_come = story.accepted is None or (
                story.accepted.sequence and story.proven.state == "logged"
            )
            if not is_to_come:
                raise NotFound(f"{name} has no receipt: {reply.said}", task=name)
        raise Conflict(f"{name} has no receipt yet: {reply.said}", task=name, headers={"Retry-After": "1"})
    evidence = [await _evidence(parts.bus, *place) for place in reply.evidence]
    try:
        found = read_receipt(reply.receipt)
        data = write_receipt(found._replace(evidence=tuple(each for each in evidence if each is not None)))
        await asyncio.to_thread(check, data, Demands(task=name))
    except ReceiptError as error:
        raise Unavailable(
            f"the anchor sent a receipt that does not hold ({error}): its operator should see its log",
            task=name,
        ) from None
    return data, reply.state


async def _evidence(bus: Bus, sequence: int, line: int) -> Statement | None:
    """The result at a place in RESULTS with its node's signature; None where it is no longer there, and the check says so."""
    try:
        found = await leader.stored(bus, bus.subjects.stream("results"), sequence=sequence)
        if found is None:
            return None
        envelope, *members = split_lines(found.data or b"")
        _, steps = join([leaf_hash(member) for member in members])
        return Statement(envelope, members[line], steps[line])
    except (BusError, IndexError) as error:
        _log.warning("evidence is left out", sequence=sequence, line=line, reason=str(error))
        return None


@post(
    "/api/v1/receipts/verify",
    tags=["receipts"],
    summary="Check a receipt",
    operation_class=FileOperation,
    status_code=200,
    responses=problems(400, 413),
)
async def verify(
    request: ApiRequest,
    task: Annotated[
        str | None, QueryParameter(max_length=130, description="The task that it must be of, `<client>.<id>`")
    ] = None,
    account: Annotated[
        str | None,
        QueryParameter(
            pattern=r"^(client|node)/[A-Za-z0-9_-]{1,64}$",
            description="The account that it must be of, `client/<name>` or `node/<name>`",
        ),
    ] = None,
    final: Annotated[bool, QueryParameter(description="There must be a block")] = False,
) -> ReceiptReport:
    """Of a task or of an account. Answers 200 also where it does not hold: `holds` says it, `link` where, `error` why."""
    data = await file_of(request, MOST_BYTES)
    return await asyncio.to_thread(report_of, data, Demands(task=task, account=account, final=final))


def report_of(data: bytes, demands: Demands) -> ReceiptReport:
    """What the check of these bytes finds, whether they hold or not."""
    try:
        found = check_any(data, demands)
    except ReceiptError as error:
        link = error.link if isinstance(error, LinkBroken) else getattr(error, "field", "")
        return ReceiptReport(holds=False, link=link, error=str(error))
    return _of_account(found) if isinstance(found, AccountReport) else _of_task(found)


def _of_task(found: Report) -> ReceiptReport:
    return ReceiptReport(
        holds=True,
        kind="task",
        name=found.verdict.task,
        status=found.verdict.status,
        output_digest=found.verdict.output_digest,
        verifier_key=found.signer,
        log=found.checkpoint.origin,
        leaf=found.leaf,
        size=found.checkpoint.size,
        witnesses=found.witnessed,
        nodes=found.nodes,
        block=block_of(found),
        proven=found.proven,
        unproven=found.unproven,
    )


def _of_account(found: AccountReport) -> ReceiptReport:
    return ReceiptReport(
        holds=True,
        kind="account",
        name=found.name,
        held=found.leaf,
        block=block_of(found),
        proven=found.proven,
        unproven=found.unproven,
    )


def block_of(found: Report | AccountReport) -> Block | None:
    """The block that was shown, if one was."""
    confirmed = found.confirmed
    if confirmed is None:
        return None
    return Block(
        txid=confirmed.txid[::-1].hex(),
        block=confirmed.block[::-1].hex(),
        height=confirmed.height,
        time_s=confirmed.time_s,
        work=str(confirmed.work),
    )
