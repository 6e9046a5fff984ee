"""Keys and payments: what is signed is what was asked for, within its limits, or nothing is."""

import stat
from hashlib import sha256
from pathlib import Path

import pytest
from bitcoin.core import CTransaction, x
from bitcoin.core.key import CPubKey
from bitcoin.core.script import SIGHASH_ALL as THEIR_ALL
from bitcoin.core.script import SIGVERSION_WITNESS_V0, CScript, SignatureHash
from bitcoin.segwit_addr import encode
from hypothesis import given
from hypothesis import strategies as st

from anchor.bitcoin.chain import Request
from anchor.bitcoin.errors import FeeCapReached, StoreUnusable, WalletEmpty
from anchor.bitcoin.keys import ORDER, Key, address, sighash
from anchor.bitcoin.paying import DUST_SAT, Coin, pay
from anchor.receipt.bitcoin.spv import committed_by
from anchor.receipt.bitcoin.transaction import Outpoint, parse_transaction

KEY = Key(sha256(b"a key for tests").digest())
COMMITTED = sha256(b"a root").digest()
# BIP 143, "Native P2WPKH": the transaction without its signatures, and what its second input signs.
UNSIGNED = x(
    "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9"
    "b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e"
    "4dbe6a21b2d50ce2f0167faa815988ac11000000"
)


def coin(value: int, number: int = 0) -> Coin:
    """A coin of that value."""
    return Coin(Outpoint(sha256(b"%d" % number).digest(), number), value)


def request(**changes: object) -> Request:
    """A request for one satoshi a virtual byte, at most a thousand."""
    return Request(**{"number": 1, "committed": COMMITTED, "rate": 1.0, "max_fee_sat": 1000} | changes)


def test_the_digest_is_that_of_bip_143() -> None:
    """Its own example."""
    digest = sighash(
        parse_transaction(UNSIGNED), 1, x("1d0f172a0ecb48aee1be1f2687d2963ae33f71a1"), 600_000_000
    )

    assert digest == x("c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670")


@given(st.lists(st.integers(2000, 10**9), min_size=1, max_size=5), st.floats(1.0, 6.0))
def test_a_payment_publishes_pays_and_is_signed(values: list[int], rate: float) -> None:
    """Each signature holds by python-bitcoinlib, with a low S, under the digest that it computes."""
    coins = [coin(value, number) for number, value in enumerate(values)]
    made = pay(request(rate=rate, max_fee_sat=2000), coins, KEY)
    tx = made.tx

    assert committed_by(tx) == COMMITTED
    by_outpoint = {each.outpoint: each.value for each in coins}
    spent = [by_outpoint[entry.spends] for entry in tx.inputs]
    assert sum(spent) - sum(out.value for out in tx.outputs) == made.fee_sat
    assert rate * tx.vsize <= made.fee_sat <= rate * (tx.vsize + 1) + 1
    assert tx.outputs[1].value >= DUST_SAT
    theirs = CTransaction.deserialize(tx.encode())
    script = CScript(b"\x76\xa9\x14" + KEY.script[2:] + b"\x88\xac")
    for index, entry in enumerate(tx.inputs):
        digest = SignatureHash(script, theirs, index, THEIR_ALL, spent[index], SIGVERSION_WITNESS_V0)
        signature, public = entry.witness
        assert CPubKey(public).verify(digest, signature[:-1])
        s = int.from_bytes(signature[6 + signature[3] : -1])
        assert s <= ORDER // 2


def test_the_largest_coin_is_enough_and_more_are_taken_where_it_is_not() -> None:
    """So there is one input as a rule, and small coins are used up when they must be."""
    assert len(pay(request(), [coin(3000, 1), coin(9000, 2), coin(1200, 3)], KEY).tx.inputs) == 1
    assert len(pay(request(rate=6.0, max_fee_sat=2000), [coin(1500, 1), coin(1400, 2)], KEY).tx.inputs) == 2


@pytest.mark.parametrize(
    ("asked", "coins", "error", "why"),
    [
        (request(), [], WalletEmpty, "has 0 satoshis in confirmed coins and needs 1160"),
        (request(), [coin(1100)], WalletEmpty, "has 1100 satoshis"),
        (request(), [coin(DUST_SAT - 1)], WalletEmpty, "has 0 satoshis"),
        (request(avoid=frozenset({coin(9000).outpoint})), [coin(9000)], WalletEmpty, "has 0"),
        (request(rate=50.0), [coin(90_000)], FeeCapReached, "7850 satoshis are asked for, the caps leave 1000"),
        (request(spends=coin(1, 7).outpoint), [coin(9000)], WalletEmpty, "is not confirmed now"),
        (request(min_fee_sat=1200), [coin(9000)], FeeCapReached, "1200 satoshis are asked for"),
    ],
)  # fmt: skip
def test_what_cannot_be_paid_is_not_signed(
    asked: Request, coins: list[Coin], error: type[Exception], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the error says what is missing."""
    monkeypatch.setattr(Key, "sign", lambda *_: pytest.fail("something was signed"))

    with pytest.raises(error, match=why):
        pay(asked, coins, KEY)


def test_a_replacement_spends_the_same_coin_and_pays_what_the_cap_leaves() -> None:
    """Less than the wanted rate, but more than what it replaces."""
    named = coin(5000, 3)
    made = pay(request(spends=named.outpoint, rate=50.0, min_fee_sat=400), [coin(9000), named], KEY)
    assert made.fee_sat == 1000
    assert [entry.spends for entry in made.tx.inputs] == [named.outpoint]

    unknown = pay(request(spends=coin(1, 9).outpoint, spends_sat=7000), [], KEY)
    assert unknown.tx.outputs[1].value == 7000 - unknown.fee_sat


@pytest.mark.parametrize("network", ["main", "testnet4", "regtest"])
def test_the_address_is_the_one_that_others_compute(network: str) -> None:
    """BIP 173, against python-bitcoinlib; and the BIP's own example."""
    prefix = {"main": "bc", "testnet4": "tb", "regtest": "bcrt"}[network]

    assert KEY.address(network) == encode(prefix, 0, KEY.script[2:])
    example = b"\x00\x14" + x("751e76e8199196d454941c45d1b3a323f1433bd6")
    assert address(example, "main") == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


def test_a_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    """The next start has the same key, and nobody else can read it."""
    path = tmp_path / "deep" / "wallet.key"
    key = Key.load(path)

    assert Key.load(path).public == key.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.public.hex() in repr(key)
    assert path.read_text().strip() not in repr(key)


@pytest.mark.parametrize("content", ["", "xyz", "00" * 32, "ff" * 32, "11" * 31])
def test_a_key_file_that_is_none_is_not_replaced(tmp_path: Path, content: str) -> None:
    """Its coins would be lost: the error says to restore it."""
    path = tmp_path / "wallet.key"
    path.write_text(content)

    with pytest.raises(StoreUnusable, match="restore it from its backup"):
        Key.load(path)
    assert path.read_text() == content
