"""Servers over real sockets that answer as Bitcoin Core and Esplora document it, out of a real chain; and that lie, drip and hang when told to.

Bitcoin Core: RPC documentation of 27.0 (`walletcreatefundedpsbt`, `testmempoolaccept`, …). Esplora: API.md.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from anchor.bitcoin.chain import Request
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.errors import TxRefused, WalletError
from anchor.bitcoin.paying import pay
from anchor.receipt.bitcoin.encoding import compact, display, from_display
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxIn, TxOut, parse_transaction
from anchor.receipt.commitment import PAYLOAD_BYTES

COOKIE = "__cookie__:0123456789abcdef"


class Failure(Exception):
    """What the node answers as an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class Server:
    """One server's chain and its behaviour. `lies` replaces results by method or path; `asked` is what was asked, in order."""

    chain: EmbeddedChain
    port: int = 0
    lies: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    raw: Callable[[bytes], bytes] | None = None
    hang_s: float = 0.0
    drip_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    locked: bool = False
    empty: bool = False
    locks: set[Outpoint] = field(default_factory=set)
    psbt_version: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    server: Server, answer: Callable[[Server, str, dict[str, str], bytes], Any]
) -> AsyncIterator[Server]:
    """Answer on a port of its own until the block ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status, said = await answer(server, head[0].split()[1], headers, body)
            whole = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
                status,
                len(said),
                said,
            )
            whole = server.raw(whole) if server.raw else whole
            await asyncio.sleep(server.hang_s)
            for at in range(0, len(whole), 1 if server.drip_s else len(whole) or 1):
                writer.write(whole[at : at + 1] if server.drip_s else whole)
                await writer.drain()
                await asyncio.sleep(server.drip_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", server.port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


# -- Bitcoin Core ---------------------------------------------------------------------------------------


async def core(server: Server, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """One JSON-RPC call."""
    assert path == "/"
    if headers.get("authorization") != "Basic " + base64.b64encode(COOKIE.encode()).decode():
        return 401, b""
    question = json.loads(body)
    method = question["method"]
    server.asked.append(method)
    said: dict[str, Any] = {"id": question["id"], "error": None, "result": None}
    try:
        handler = globals().get(f"_{method}", _unknown)
        result = await handler(server, *question["params"])
        said["result"] = server.lies[method](result) if method in server.lies else result
    except Failure as failure:
        said["error"] = {"code": failure.code, "message": failure.message}
    return (500 if said["error"] else 200), json.dumps(said).encode()


async def _unknown(*_: object) -> Any:
    raise Failure(-32601, "Method not found")


async def _getblockchaininfo(server: Server) -> Any:
    tip = server.chain.kernel.tip
    return {
        "chain": "regtest",
        "blocks": tip.height,
        "bestblockhash": display(tip.block),
        "initialblockdownload": False,
    }


async def _getblockhash(server: Server, height: int) -> str:
    found = server.chain.kernel.hash_at(height)
    if found is None:
        raise Failure(-8, "Block height out of range")
    return display(found)


async def _getblockheader(server: Server, name: str, verbose: Any) -> str:
    assert not verbose
    return server.chain.kernel.header(_known(server, name)).encode().hex()


async def _getblock(server: Server, name: str, verbosity: int) -> str:
    assert verbosity == 0
    return (server.chain.kernel.block(_known(server, name)) or b"").hex()


def _known(server: Server, name: str) -> bytes:
    block = from_display(name, "blockhash")
    if server.chain.kernel.height_of(block) is None:
        raise Failure(-5, "Block not found")
    return block


async def _getrawtransaction(server: Server, txid: str, verbose: int) -> Any:
    assert verbose
    if from_display(txid, "txid") not in server.chain.mempool:
        raise Failure(
            -5,
            "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries.",
        )
    return {"txid": txid}


async def _gettxout(server: Server, txid: str, vout: int, include_mempool: Any) -> Any:
    assert not include_mempool
    held = server.chain.scanner.follower.coins.get(Outpoint(from_display(txid, "txid"), vout))
    return None if held is None or held.spent else {"value": held.value / 1e8, "confirmations": 1}


async def _estimatesmartfee(server: Server, target: int) -> Any:
    rate = server.chain.estimate_sat_vb
    if rate is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": target}
    return {"feerate": rate / 100_000, "blocks": target}


async def _testmempoolaccept(server: Server, raws: list[str], max_rate: float) -> Any:
    del max_rate
    tx = parse_transaction(bytes.fromhex(raws[0]))
    said = {"txid": display(tx.txid), "wtxid": display(tx.wtxid)}
    if tx.txid in server.chain.mempool:
        return [said | {"allowed": False, "reject-reason": "txn-already-in-mempool"}]
    kept = server.chain.mempool._waiting.copy()
    try:
        server.chain.mempool.accept(tx)
    except TxRefused as refusal:
        return [said | {"allowed": False, "reject-reason": refusal.reason}]
    finally:
        server.chain.mempool._waiting = kept
    return [said | {"allowed": True, "vsize": tx.vsize}]


async def _sendrawtransaction(server: Server, raw: str) -> str:
    tx = parse_transaction(bytes.fromhex(raw))
    try:
        await server.chain.send(tx)
    except TxRefused as refusal:
        raise Failure(-26, refusal.reason) from None
    return display(tx.txid)


async def _walletcreatefundedpsbt(
    server: Server, inputs: list[Any], outputs: list[Any], lock_time: int, options: dict[str, Any]
) -> Any:
    assert (lock_time, options["minconf"], options["lockUnspents"], options["change_type"]) == (
        0,
        1,
        True,
        "bech32",
    )
    if server.empty:
        raise Failure(-4, "Insufficient funds")
    committed = bytes.fromhex(outputs[0]["data"])[4:]
    assert len(outputs[0]["data"]) == 2 * PAYLOAD_BYTES
    spends = Outpoint(from_display(inputs[0]["txid"], "txid"), inputs[0]["vout"]) if inputs else None
    known = {coin: held.value for coin, held in server.chain.scanner.follower.coins.items()}
    request = Request(
        number=0, committed=committed, rate=float(options["fee_rate"]), max_fee_sat=10**9, spends=spends,
        spends_sat=known.get(spends), avoid=frozenset(server.locks - {spends}),
    )  # fmt: skip
    try:
        draft = pay(request, server.chain.scanner.follower.spendable(), server.chain.key)
    except WalletError:
        raise Failure(-4, "Insufficient funds") from None
    chosen = [entry.spends for entry in draft.tx.inputs]
    server.locks.update(chosen)
    psbt = _psbt(server, draft.tx, [known[coin] for coin in chosen])
    return {"psbt": base64.b64encode(psbt).decode(), "fee": draft.fee_sat / 1e8, "changepos": 1}


def _psbt(server: Server, tx: Transaction, values: list[int]) -> bytes:
    """Version 0 (BIP 174) or 2 (BIP 370), each input with the output that it spends."""
    coins = [b"\x01\x01" + _string(TxOut(value, server.chain.key.script).encode()) for value in values]
    if server.psbt_version == 0:
        bare = replace(tx, inputs=tuple(replace(entry, witness=()) for entry in tx.inputs))
        head = b"\x01\x00" + _string(bare.encode()) + b"\x00"
        return b"psbt\xff" + head + b"".join(coin + b"\x00" for coin in coins) + b"\x00" * len(tx.outputs)
    head = (
        b"\x01\x02" + _string((2).to_bytes(4, "little")) + b"\x01\x04" + _string(compact(len(tx.inputs)))
        + b"\x01\x05" + _string(compact(len(tx.outputs))) + b"\x01\xfb" + _string((2).to_bytes(4, "little")) + b"\x00"
    )  # fmt: skip
    inputs = [
        coin + b"\x01\x0e" + _string(entry.spends.txid) + b"\x01\x0f" + _string(entry.spends.vout.to_bytes(4, "little"))
        + b"\x01\x10" + _string(entry.sequence.to_bytes(4, "little")) + b"\x00"
        for coin, entry in zip(coins, tx.inputs, strict=True)
    ]  # fmt: skip
    outputs = [
        b"\x01\x03" + _string(out.value.to_bytes(8, "little")) + b"\x01\x04" + _string(out.script) + b"\x00"
        for out in tx.outputs
    ]
    return b"psbt\xff" + head + b"".join(inputs) + b"".join(outputs)


def _string(data: bytes) -> bytes:
    return compact(len(data)) + data


async def _walletprocesspsbt(server: Server, psbt: str) -> Any:
    if server.locked:
        raise Failure(-13, "Error: Please enter the wallet passphrase with walletpassphrase first.")
    return {"psbt": psbt, "complete": True}


async def _finalizepsbt(server: Server, psbt: str) -> Any:
    """Signs here, as the key is the server's."""
    from anchor.bitcoin.remote.psbt import read_psbt  # noqa: PLC0415 -- what it reads was written above

    proposal = read_psbt(base64.b64decode(psbt))
    tx = Transaction(tuple(TxIn(coin, sequence=0xFFFF_FFFD) for coin in proposal.spends), proposal.outputs)
    signed = tuple(
        replace(entry, witness=server.chain.key.sign(tx, at, proposal.values[at]))
        for at, entry in enumerate(tx.inputs)
    )
    return {"hex": replace(tx, inputs=signed).encode().hex(), "complete": True}


async def _lockunspent(server: Server, unlock: Any, coins: list[Any]) -> bool:
    assert unlock
    server.locks -= {Outpoint(from_display(coin["txid"], "txid"), coin["vout"]) for coin in coins}
    return True


# -- Esplora --------------------------------------------------------------------------------------------


async def esplora(server: Server, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """One request."""
    del headers
    parts = path.strip("/").split("/")
    server.asked.append(parts[0])
    status, said = _sent(server, body) if body else _told(server, parts)
    name = "/".join(parts[:1] + parts[2:])
    if name in server.lies:
        said = server.lies[name](said)
    return status, said if isinstance(said, bytes) else json.dumps(said).encode()


def _sent(server: Server, body: bytes) -> tuple[int, Any]:
    tx = parse_transaction(bytes.fromhex(body.decode()))
    try:
        server.chain.mempool.accept(tx)
    except TxRefused as refusal:
        return 400, b'sendrawtransaction RPC error: {"code":-26,"message":"%b"}' % refusal.reason.encode()
    return 200, display(tx.txid).encode()


def _told(server: Server, parts: list[str]) -> tuple[int, Any]:  # noqa: PLR0911 -- a table of paths
    kernel, follower = server.chain.kernel, server.chain.scanner.follower
    match parts:
        case ["blocks", "tip", "hash"]:
            return 200, display(kernel.tip.block).encode()
        case ["block-height", height]:
            found = kernel.hash_at(int(height))
            return (404, b"Block not found") if found is None else (200, display(found).encode())
        case ["block", name]:
            return 200, {"id": name, "height": kernel.height_of(from_display(name, "id"))}
        case ["block", name, "raw"]:
            return 200, kernel.block(from_display(name, "id"))
        case ["block", name, "header"]:
            return 200, kernel.header(from_display(name, "id")).encode().hex().encode()
        case ["fee-estimates"]:
            return 200, {} if server.chain.estimate_sat_vb is None else {"6": server.chain.estimate_sat_vb}
        case ["address", _, "utxo"]:
            return 200, [
                {"txid": display(coin.outpoint.txid), "vout": coin.outpoint.vout, "value": coin.value, "status": {"confirmed": True}}
                for coin in follower.spendable()
            ]  # fmt: skip
        case ["tx", txid, "outspend", vout]:
            return 200, _outspend(server, Outpoint(from_display(txid, "txid"), int(vout)))
        case ["tx", txid]:
            return _transaction(server, from_display(txid, "txid"))
    return 404, b"not found"


def _outspend(server: Server, coin: Outpoint) -> Any:
    found = server.chain.scanner.follower.spenders([coin]).get(coin)
    if found is None:
        return {"spent": False}
    return {
        "spent": True,
        "txid": display(found.txid),
        "vin": 0,
        "status": {"confirmed": True, "block_height": found.height},
    }


def _transaction(server: Server, txid: bytes) -> tuple[int, Any]:
    from anchor.bitcoin.block import parse_block  # noqa: PLC0415 -- an index of transactions, made for each question

    if txid in server.chain.mempool:
        return 200, {"txid": display(txid), "status": {"confirmed": False}}
    for height in range(1, server.chain.kernel.tip.height + 1):
        name = server.chain.kernel.hash_at(height)
        if txid in parse_block(server.chain.kernel.block(name)).txids:
            return 200, {
                "txid": display(txid),
                "status": {"confirmed": True, "block_height": height, "block_hash": display(name)},
            }
    return 404, b"Transaction not found"
