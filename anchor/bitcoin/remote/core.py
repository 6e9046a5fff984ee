"""Bitcoin Core with its own wallet (25.0 or newer), by PSBT: the wallet chooses coins and signs, we say what and how much.

Guarantees that the wallet is asked to sign only what was read and found to be the request: the commitment, one output of change at most, the coin that was
asked for, a fee within the limits. What is not signed in the end leaves no coin locked.
The wallet may be shared: coins are locked from the proposal on, until the transaction is sent or given up.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from anchor.bitcoin.chain import Draft, Network, Request
from anchor.bitcoin.errors import (
    BitcoinError,
    ChainUnavailable,
    ChainWrong,
    FeeCapReached,
    WalletEmpty,
    WalletLocked,
)
from anchor.bitcoin.follower import Follower
from anchor.bitcoin.remote.node import Node
from anchor.bitcoin.remote.psbt import Proposal, read_psbt
from anchor.bitcoin.remote.rpc import Rpc, RpcError, field
from anchor.bitcoin.scanner import Scanner
from anchor.receipt.bitcoin.encoding import display
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, parse_transaction
from anchor.receipt.commitment import op_return, payload
from anchor.receipt.errors import ReceiptError

__all__ = ["CoreChain"]

_NO_FUNDS, _WALLET, _UNLOCK = -6, -4, -13
_NO_WALLET = (-18, -19)
_TRIES = 2
_MOST_OUTPUTS = 2


class CoreChain(Node):
    """A Bitcoin Core node; the URL of `rpc` names the wallet (`…/wallet/NAME`) where there is more than one."""

    def __init__(self, rpc: Rpc, network: Network, *, target: int = 6) -> None:
        super().__init__(rpc, network, lambda source: Scanner(source, script=None, birth=0), target)

    async def draft(self, request: Request) -> Draft:
        """The wallet's signed transaction; raises `WalletError` where it cannot, or must not, be had."""
        rate = request.rate
        for attempt in range(_TRIES):
            proposal, psbt = await self._propose(request, rate)
            try:
                if request.min_fee_sat and proposal.fee_sat < request.min_fee_sat and not attempt:
                    rate *= 1.05 * request.min_fee_sat / max(1, proposal.fee_sat)
                    await self._unlock(proposal)
                    continue
                _examine(proposal, request)
                return await self._sign(psbt, proposal)
            except BitcoinError:
                await self._unlock(proposal)
                raise
        raise FeeCapReached(
            "fee", f"the wallet proposes {proposal.fee_sat} satoshis, {request.min_fee_sat} are the least"
        )

    async def _propose(self, request: Request, rate: float) -> tuple[Proposal, str]:
        inputs = [{"txid": display(coin.txid), "vout": coin.vout} for coin in (request.spends,) if coin]
        options: dict[str, object] = {
            "add_inputs": True,
            "minconf": 1,
            "change_type": "bech32",
            "lockUnspents": True,
            "replaceable": True,
            "fee_rate": f"{rate:.3f}",
        }
        outputs = [{"data": payload(request.committed).hex()}]
        try:
            said = await self.rpc.call("walletcreatefundedpsbt", inputs, outputs, 0, options)
        except RpcError as error:
            raise _blamed(error, request) from None
        psbt = field(said, "psbt", str, "walletcreatefundedpsbt")
        try:
            return read_psbt(base64.b64decode(psbt, validate=True)), psbt
        except (ReceiptError, binascii.Error) as error:
            raise ChainWrong("walletcreatefundedpsbt.psbt", str(error)) from None

    async def _sign(self, psbt: str, proposal: Proposal) -> Draft:
        try:
            signed = await self.rpc.call("walletprocesspsbt", psbt)
            final = await self.rpc.call("finalizepsbt", field(signed, "psbt", str, "walletprocesspsbt"))
        except RpcError as error:
            raise _blamed(error, None) from None
        if not field(final, "complete", bool, "finalizepsbt"):
            raise WalletEmpty("the wallet has not got the keys for its coins: is it one that only watches?")
        try:
            tx = parse_transaction(bytes.fromhex(field(final, "hex", str, "finalizepsbt")))
        except (ReceiptError, ValueError) as error:
            raise ChainWrong("finalizepsbt.hex", str(error)) from None
        _compare(tx, proposal)
        return Draft(tx, proposal.fee_sat)

    async def _unlock(self, proposal: Proposal) -> None:
        """Let go of the coins, as far as the node can be reached; it forgets its locks when it starts."""
        coins = [{"txid": display(coin.txid), "vout": coin.vout} for coin in proposal.spends]
        try:
            await self.rpc.call("lockunspent", True, coins)  # noqa: FBT003 -- the node's own interface
        except (RpcError, ChainUnavailable, ChainWrong):
            return

    async def _is_missing(self, coin: Outpoint, follower: Follower) -> bool:
        del follower
        try:
            said: Any = await self.rpc.call("gettxout", display(coin.txid), coin.vout, False)  # noqa: FBT003
        except RpcError as error:
            raise ChainUnavailable(str(error)) from None
        return said is None and not await self.is_pooled(coin.txid)


def _examine(proposal: Proposal, request: Request) -> None:
    """Raises unless the proposal is what was asked for; nothing has been signed yet."""
    scripts = [out.script for out in proposal.outputs]
    if scripts.count(op_return(request.committed)) != 1 or len(scripts) > _MOST_OUTPUTS:
        raise ChainWrong("walletcreatefundedpsbt.outputs", "the commitment once, and change")
    if request.spends is not None and request.spends not in proposal.spends:
        raise ChainWrong("walletcreatefundedpsbt.inputs", f"the coin {request.spends}")
    if request.avoid.intersection(proposal.spends):
        raise ChainWrong("walletcreatefundedpsbt.inputs", "no coin that another publication spends")
    if proposal.fee_sat > request.max_fee_sat:
        said = f"the wallet proposes {proposal.fee_sat} satoshis, the caps leave {request.max_fee_sat}"
        raise FeeCapReached("fee", said)
    if proposal.fee_sat <= 0:
        raise ChainWrong("walletcreatefundedpsbt.fee", "more than nothing")


def _compare(tx: Transaction, proposal: Proposal) -> None:
    inputs: Sequence[Outpoint] = [entry.spends for entry in tx.inputs]
    if tuple(inputs) != proposal.spends or tx.outputs != proposal.outputs:
        raise ChainWrong("finalizepsbt.hex", "the transaction that was proposed")


def _blamed(error: RpcError, request: Request | None) -> BitcoinError:
    """Whose turn it is."""
    if error.code == _UNLOCK:
        return WalletLocked("the node's wallet is locked: unlock it with walletpassphrase")
    if error.code in _NO_WALLET:
        return WalletEmpty(
            f"the node has no such wallet loaded ({error.said}): load it, or name it in the URL as /wallet/NAME"
        )
    if error.code in (_NO_FUNDS, _WALLET) and "fund" in error.said.lower():
        need = f" and needs about {int(request.rate * 165)} satoshis" if request else ""
        return WalletEmpty(
            f"the node's wallet has not got enough confirmed coins{need}: send it some ({error.said})"
        )
    return ChainUnavailable(f"the node's wallet cannot be used: {error}")
