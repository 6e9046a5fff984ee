"""`/api/v1/ledger/…/receipt` and `/api/v1/energy/…/receipt`: what proves an account, or its month, to a stranger, as a file.

Guarantees that a receipt that is handed out passed the check that a stranger makes of it (`anchor.receipt`), of the account that was asked for.
"""

import asyncio
from typing import Annotated

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from anchor.receipt.account_check import check_account
from anchor.receipt.demands import Demands
from anchor.receipt.errors import ReceiptError
from bus.messages import AccountReceiptReply, AccountReceiptRequest
from gateway.errors import Conflict, NotFound, Refused, Unavailable
from gateway.parts import ApiRequest, Parts, parts_of
from gateway.routes.answers import problems
from gateway.routes.bodies import FILE
from gateway.routes.ledger import AccountKind, AccountName, Month

__all__ = ["balance_receipt", "energy_receipt"]

_RESPONSES = problems(400, 404, 409, 503) | {
    200: ResponseSpec(bytes, description="The receipt", media_type=FILE, generate_examples=False)
}
_SINCE = "Ambient-Receipt-Since"
_AGAIN_S = "1"

_Final = Annotated[
    bool, QueryParameter(description="Only one that is down to a Bitcoin block: 409 until there is")
]
_Published = Annotated[
    bool, QueryParameter(description="The newest one that is down to a block, whatever came after it")
]
_Since = Annotated[
    str | None,
    QueryParameter(
        pattern="^[0-9]{1,15}-[0-9]{1,15}$",
        description=f"What `{_SINCE}` said when it was first asked for: so far the state must be folded that is to be final",
    ),
]


@get(
    "/api/v1/ledger/{kind:str}/{name:str}/receipt",
    tags=["receipts"],
    summary="The receipt of what an account holds, as a file",
    media_type=FILE,
    responses=_RESPONSES,
)
async def balance_receipt(
    request: ApiRequest,
    kind: AccountKind,
    name: AccountName,
    final: _Final = False,
    published: _Published = False,
    since: _Since = None,
) -> Response[bytes]:
    """For `ambient verify`, which needs nothing else. `Ambient-Receipt` says `signed` or `final`; 409 before a state is signed.

    Each payment asks for a newer state: who waits for one with all that was known at his first question sends back what `Ambient-Receipt-Since` said then.
    """
    asked = AccountReceiptRequest(account=f"{kind}/{name}", published=published, since=_places(since))
    return await _answer(parts_of(request), asked, f"{kind}-{name}", final=final)


@get(
    "/api/v1/energy/{kind:str}/{name:str}/receipt",
    tags=["receipts"],
    summary="The receipt of what an account's month took, as a file",
    media_type=FILE,
    responses=_RESPONSES,
)
async def energy_receipt(
    request: ApiRequest,
    kind: AccountKind,
    name: AccountName,
    month: Month = None,
    final: _Final = False,
    published: _Published = False,
    since: _Since = None,
) -> Response[bytes]:
    """As the one of what it holds. 404 without `month` where nothing was ever counted."""
    asked = AccountReceiptRequest(
        account=f"{kind}/{name}",
        tree="energy",
        month=month or "",
        published=published,
        since=_places(since),
    )
    return await _answer(parts_of(request), asked, f"{kind}-{name}-energy", final=final)


def _places(since: str | None) -> tuple[int, int] | None:
    if since is None:
        return None
    verdicts, _, anchors = since.partition("-")
    return int(verdicts), int(anchors)


async def _answer(parts: Parts, asked: AccountReceiptRequest, called: str, *, final: bool) -> Response[bytes]:
    reply = await _asked(parts, asked)
    since = "{}-{}".format(*reply.since)
    if reply.receipt is None or (final and reply.state != "final"):
        again = {"Retry-After": _AGAIN_S} if reply.more else {}
        what = "receipt yet" if reply.receipt is None else "receipt down to a block"
        raise Conflict(f"{asked.account} has no {what}: {reply.said}", headers={_SINCE: since, **again})
    try:
        await asyncio.to_thread(check_account, reply.receipt, Demands(account=asked.account, final=final))
    except ReceiptError as error:
        raise Unavailable(
            f"the anchor sent a receipt that does not hold ({error}): its operator should see its log"
        ) from None
    headers = {
        "Content-Disposition": f'attachment; filename="{called}.receipt"',
        "Ambient-Receipt": reply.state,
        _SINCE: since,
    }
    return Response(reply.receipt, media_type=FILE, headers=headers)


async def _asked(parts: Parts, asked: AccountReceiptRequest) -> AccountReceiptReply:
    try:
        return await parts.asking.ask("anchor", "account", asked, AccountReceiptReply)
    except Refused as error:
        if error.field == "month" and not asked.month:
            raise NotFound(error.detail) from None
        raise
