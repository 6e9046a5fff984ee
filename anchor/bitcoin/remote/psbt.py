"""Reading what a wallet proposes (PSBT, BIP 174 and BIP 370) before it is asked to sign: which coins, of what value, and where they go.

Guarantees that the values are those that signatures will cover, or come out of transactions whose id is checked: a node that lies about them gets
a signature that nobody accepts. Only reading; the wallet signs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from anchor.receipt.bitcoin.encoding import Reader
from anchor.receipt.bitcoin.transaction import MAX_TX_BYTES, Outpoint, TxOut, parse_transaction
from anchor.receipt.errors import Malformed

__all__ = ["Proposal", "read_psbt"]

_MAGIC = b"psbt\xff"
_UNSIGNED_TX, _INPUT_COUNT, _OUTPUT_COUNT = 0x00, 0x04, 0x05
_WHOLE_SPENT, _WITNESS_SPENT, _SPENT_TXID, _SPENT_VOUT = 0x00, 0x01, 0x0E, 0x0F
_OUT_VALUE, _OUT_SCRIPT = 0x03, 0x04
_MOST_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A transaction that is not signed yet; `values` are those of the coins, in the same order as `spends`."""

    spends: tuple[Outpoint, ...]
    values: tuple[int, ...]
    outputs: tuple[TxOut, ...]

    @property
    def fee_sat(self) -> int:
        """What it would pay."""
        return sum(self.values) - sum(out.value for out in self.outputs)


def read_psbt(data: bytes) -> Proposal:
    """The proposal in these bytes; raises `Malformed`."""
    reader = Reader(data, "psbt")
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise Malformed("psbt", "it does not begin as one")
    head = _read_map(reader)
    if _key(_UNSIGNED_TX) in head:
        tx = parse_transaction(head[_key(_UNSIGNED_TX)], "psbt.tx")
        inputs = [_read_map(reader) for _ in tx.inputs]
        outputs: tuple[TxOut, ...] = tx.outputs
        spends = [entry.spends for entry in tx.inputs]
        for _ in outputs:
            _read_map(reader)
    else:
        inputs = [_read_map(reader) for _ in range(_count(head, _INPUT_COUNT))]
        spends = [_spends(entry) for entry in inputs]
        outputs = tuple(_output(_read_map(reader)) for _ in range(_count(head, _OUTPUT_COUNT)))
    reader.finish()
    values = [_value(entry, coin) for entry, coin in zip(inputs, spends, strict=True)]
    return Proposal(tuple(spends), tuple(values), outputs)


def _key(kind: int) -> bytes:
    return bytes((kind,))


def _read_map(reader: Reader) -> dict[bytes, bytes]:
    """Keys and values up to the empty key; each key once."""
    found: dict[bytes, bytes] = {}
    while key := reader.string(MAX_TX_BYTES, "key"):
        if key in found or len(found) >= _MOST_ENTRIES:
            raise Malformed("psbt.key", "each stands once, and there are not many")
        found[key] = reader.string(MAX_TX_BYTES, "value")
    return found


def _need(entries: Mapping[bytes, bytes], kind: int, name: str, size: int) -> bytes:
    value = entries.get(_key(kind), b"")
    if len(value) != size:
        raise Malformed(f"psbt.{name}", f"{size} bytes are asked for")
    return value


def _count(head: Mapping[bytes, bytes], kind: int) -> int:
    reader = Reader(head.get(_key(kind), b""), "psbt.count")
    return reader.compact(_MOST_ENTRIES, "count")


def _spends(entry: Mapping[bytes, bytes]) -> Outpoint:
    vout = int.from_bytes(_need(entry, _SPENT_VOUT, "input.index", 4), "little")
    return Outpoint(_need(entry, _SPENT_TXID, "input.txid", 32), vout)


def _output(entry: Mapping[bytes, bytes]) -> TxOut:
    value = int.from_bytes(_need(entry, _OUT_VALUE, "output.amount", 8), "little")
    script = entry.get(_key(_OUT_SCRIPT))
    if script is None:
        raise Malformed("psbt.output.script", "every output has one")
    return TxOut(value, script)


def _value(entry: Mapping[bytes, bytes], coin: Outpoint) -> int:
    """What the coin is worth: by the output that the signature covers, or by the transaction that made it."""
    if (spent := entry.get(_key(_WITNESS_SPENT))) is not None:
        reader = Reader(spent, "psbt.witness_utxo")
        value = reader.number(8)
        reader.string(MAX_TX_BYTES, "script")
        reader.finish()
        return value
    if (whole := entry.get(_key(_WHOLE_SPENT))) is not None:
        tx = parse_transaction(whole, "psbt.non_witness_utxo")
        if tx.txid == coin.txid and coin.vout < len(tx.outputs):
            return tx.outputs[coin.vout].value
    raise Malformed("psbt.input", f"the coin {coin} must be shown")
