"""One key, and what it can sign: the wallet of chains whose node has none.

Guarantees low-S signatures (BIP 146) over the digest of BIP 143, with nonces derived from key and message (RFC 6979), and that the key file is readable
by its owner alone. The digest covers the value of each coin, so a node that lies about a value makes a signature that nobody accepts.
"""

import hashlib
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from anchor.bitcoin.errors import StoreUnusable
from anchor.receipt.bitcoin.encoding import double_sha256
from anchor.receipt.bitcoin.transaction import Transaction
from bus.disk import write_whole

__all__ = ["ORDER", "SIGHASH_ALL", "Key", "address", "sighash"]

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The order of secp256k1's group (SEC 2)."""
SIGHASH_ALL = 1
_SECRET_BYTES = 32
_PREFIXES = {"main": "bc", "testnet4": "tb", "signet": "tb", "regtest": "bcrt"}
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class Key:
    """A secret key of secp256k1; `script` is the output (P2WPKH) that pays to it."""

    def __init__(self, secret: bytes) -> None:
        number = int.from_bytes(secret)
        if len(secret) != _SECRET_BYTES or not 0 < number < ORDER:
            raise StoreUnusable(
                "a key has 32 bytes and is below the order of secp256k1: restore it from its backup"
            )
        self._key = ec.derive_private_key(number, ec.SECP256K1())
        self.public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self._hash160 = _hash160(self.public)
        self.script = b"\x00\x14" + self._hash160

    def __repr__(self) -> str:
        """The public key; the secret is never shown."""
        return f"Key({self.public.hex()})"

    @classmethod
    def load(cls, path: Path) -> "Key":
        """The key in the file, made anew where there is no file; raises `StoreUnusable`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write_secret(path)
            return cls(bytes.fromhex(path.read_text("ascii").strip()))
        except (OSError, ValueError) as error:
            raise StoreUnusable(
                f"the wallet's key {path} cannot be used: {error}; restore it from its backup"
            ) from None

    def sign(self, tx: Transaction, index: int, value: int) -> tuple[bytes, bytes]:
        """The witness for input `index` of `tx`, which spends a coin of `value` satoshis that pays to this key."""
        digest = sighash(tx, index, self._hash160, value)
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        r, s = decode_dss_signature(self._key.sign(digest, algorithm))
        der = encode_dss_signature(r, min(s, ORDER - s))
        return der + bytes((SIGHASH_ALL,)), self.public

    def address(self, network: str) -> str:
        """Where to send the wallet its coins."""
        return address(self.script, network)


def _write_secret(path: Path) -> None:
    secret = bytes(_SECRET_BYTES)
    while not 0 < int.from_bytes(secret) < ORDER:
        secret = secrets.token_bytes(_SECRET_BYTES)
    with suppress(FileExistsError):  # another anchor was first: its key is everybody's
        write_whole(path, f"{secret.hex()}\n".encode("ascii"), once=True)


def _hash160(data: bytes) -> bytes:
    try:
        return hashlib.new("ripemd160", hashlib.sha256(data).digest(), usedforsecurity=False).digest()
    except ValueError:
        raise StoreUnusable("this Python's OpenSSL has no RIPEMD-160: use OpenSSL 3.0.7 or newer") from None


def sighash(tx: Transaction, index: int, hash160: bytes, value: int) -> bytes:
    """What a signature of input `index` signs (BIP 143, SIGHASH_ALL), for a P2WPKH coin of `value` satoshis."""
    spent = tx.inputs[index]
    prevouts = b"".join(entry.spends.encode() for entry in tx.inputs)
    sequences = b"".join(entry.sequence.to_bytes(4, "little") for entry in tx.inputs)
    outputs = b"".join(out.encode() for out in tx.outputs)
    return double_sha256(
        tx.version.to_bytes(4, "little")
        + double_sha256(prevouts)
        + double_sha256(sequences)
        + spent.spends.encode()
        + b"\x19\x76\xa9\x14" + hash160 + b"\x88\xac"
        + value.to_bytes(8, "little")
        + spent.sequence.to_bytes(4, "little")
        + double_sha256(outputs)
        + tx.lock_time.to_bytes(4, "little")
        + SIGHASH_ALL.to_bytes(4, "little")
    )  # fmt: skip


def address(script: bytes, network: str) -> str:
    """The address of a version 0 witness program (BIP 173)."""
    prefix = _PREFIXES[network]
    words = [0, *_regroup(script[2:])]
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = _polymod(spread + words + [0] * 6) ^ 1
    words += [check >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1{''.join(_BECH32[word] for word in words)}"


def _regroup(program: bytes) -> list[int]:
    """Eight bits each into five bits each."""
    bits = "".join(f"{byte:08b}" for byte in program)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]


def _polymod(words: list[int]) -> int:
    check = 1
    for word in words:
        top, check = check >> 25, (check & 0x1FF_FFFF) << 5 ^ word
        for place, generator in enumerate(_GENERATOR):
            check ^= generator if top >> place & 1 else 0
    return check
