"""Reading Bitcoin's serialisation: what is read is what was written, and nothing else is."""

import pytest
from bitcoin.core import CTransaction, b2lx
from hypothesis import given
from hypothesis import strategies as st

from anchor.receipt.bitcoin.encoding import Reader, compact, display, from_display
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxIn, TxOut, parse_transaction
from anchor.receipt.errors import Malformed

HASHES = st.binary(min_size=32, max_size=32)
TRANSACTIONS = st.builds(
    Transaction,
    st.lists(
        st.builds(
            TxIn,
            st.builds(Outpoint, HASHES, st.integers(0, 2**32 - 1)),
            st.binary(max_size=300),
            st.integers(0, 2**32 - 1),
            st.lists(st.binary(max_size=80), max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    st.lists(st.builds(TxOut, st.integers(0, 2**63), st.binary(max_size=300)), min_size=1, max_size=4).map(
        tuple
    ),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
# The first transaction of BIP 143's examples that spends a P2WPKH output, signed.
BIP143 = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3be"
    "bf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815"
    "b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a"
    "9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4"
    "518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
)


@given(TRANSACTIONS)
def test_a_transaction_is_read_as_it_was_written(tx: Transaction) -> None:
    """With its ids and weight as python-bitcoinlib has them, where that one can read it."""
    raw = tx.encode()

    assert parse_transaction(raw) == tx
    theirs = CTransaction.deserialize(raw)
    assert (theirs.GetTxid(), theirs.GetHash()) == (tx.txid, tx.wtxid)
    assert theirs.calc_weight() == tx.weight


def test_the_example_of_bip_143_is_read() -> None:
    """With its id, its size and its witnesses."""
    tx = parse_transaction(BIP143)

    assert tx.encode() == BIP143
    assert display(tx.txid) == b2lx(CTransaction.deserialize(BIP143).GetTxid())
    assert tx.vsize == (3 * len(tx.stripped()) + len(BIP143) + 3) // 4
    assert [len(entry.witness) for entry in tx.inputs] == [0, 2]


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_in_any_other_way(data: bytes) -> None:
    """Whatever it is: a transaction that is those very bytes, or `Malformed`."""
    try:
        read = parse_transaction(data)
    except Malformed:
        return
    assert read.encode() == data


@given(TRANSACTIONS, st.data())
def test_a_transaction_that_was_cut_or_is_too_long_is_refused(tx: Transaction, data: st.DataObject) -> None:
    """At every byte; and nothing may follow it."""
    raw = tx.encode()
    cut = data.draw(st.integers(0, len(raw) - 1))

    with pytest.raises(Malformed):
        parse_transaction(raw[:cut])
    with pytest.raises(Malformed, match="follow its end"):
        parse_transaction(raw + b"\x00")


@given(st.integers(0, 2**64 - 1))
def test_a_compact_size_has_one_spelling(number: int) -> None:
    """The longer spellings are refused, so that two byte strings never mean one transaction."""
    written = compact(number)
    longer = {1: b"\xfd", 3: b"\xfe", 5: b"\xff"}.get(len(written))

    assert Reader(written, "it").compact(2**64, "n") == number
    if longer:
        size = 2 * (len(written) - 1) or 2
        with pytest.raises(Malformed, match="shortest"):
            Reader(longer + number.to_bytes(size, "little"), "it").compact(2**64, "n")


def test_a_claimed_number_costs_nothing() -> None:
    """Four million inputs that are not there end at the first one."""
    with pytest.raises(Malformed, match="it ends after"):
        parse_transaction((2).to_bytes(4, "little") + compact(4_000_000))
    with pytest.raises(Malformed, match=r"tx\.inputs: at most"):
        parse_transaction((2).to_bytes(4, "little") + compact(4_000_001))


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, 7, None])
def test_a_hash_that_is_none_is_refused_by_name(text: object) -> None:
    """What a node says under `txid` may be anything."""
    with pytest.raises(Malformed, match="txid: 64 hexadecimal"):
        from_display(text, "txid")
