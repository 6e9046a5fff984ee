"""Bitcoin Core's consensus code (libbitcoinkernel) behind the few calls that the embedded chain needs.

Guarantees that its errors come out as ours. The library is an alpha without types, so nothing of it is used elsewhere.
"""

import importlib
import shutil
from pathlib import Path
from typing import Any

from anchor.bitcoin.errors import StoreUnusable, TxRefused
from anchor.bitcoin.publications import Tip
from anchor.receipt.bitcoin.header import Header
from anchor.receipt.bitcoin.transaction import Transaction, TxOut

__all__ = ["BlockInvalid", "Kernel"]

_ADVICE = "install the extra `anchor` with Python 3.12 or 3.13, or choose another chain"


class BlockInvalid(Exception):
    """The consensus code refuses a block."""


class Kernel:
    """The chain in `folder`, which is held by a `FolderLock`; raises `StoreUnusable`."""

    def __init__(self, folder: Path) -> None:
        try:
            self._pbk: Any = importlib.import_module("pbk")
        except (ImportError, OSError) as error:
            raise StoreUnusable(f"the embedded chain needs py-bitcoinkernel: {_ADVICE} ({error})") from None
        options = self._pbk.ContextOptions()
        options.set_chainparams(self._pbk.ChainParameters(self._pbk.ChainType.REGTEST))
        self._context = self._pbk.Context(options)
        self._manager: Any = self._open(folder)
        self._chain = self._manager.get_active_chain()

    def __repr__(self) -> str:
        """How far it is."""
        return f"Kernel(at {self.tip.height})"

    def _open(self, folder: Path) -> Any:
        """Open the files; where they are damaged, begin without them: the journal has every block."""
        for attempt in range(2):
            try:
                return self._pbk.ChainstateManager(
                    self._pbk.ChainstateManagerOptions(
                        self._context, str(folder / "state"), str(folder / "blocks")
                    )
                )
            except RuntimeError:
                if attempt:
                    break
                shutil.rmtree(folder, ignore_errors=True)
        raise StoreUnusable(f"the chain in {folder} cannot be opened: is there room on the disk?")

    def close(self) -> None:
        """Write what is in memory, and let go of the files."""
        self._chain = None
        self._manager.__exit__(None, None, None)

    @property
    def tip(self) -> Tip:
        """The last block of the chain with the most work."""
        height = self._chain.height
        return Tip(height, self.hash_at(height) or b"")

    def hash_at(self, height: int) -> bytes | None:
        """The block at that height of the chain; None above its tip."""
        if not 0 <= height <= self._chain.height:
            return None
        return bytes(self._chain.block_tree_entries[height].block_hash)

    def height_of(self, block: bytes) -> int | None:
        """The height of a block of any branch, None where it is not known."""
        entry = self._entry(block)
        return None if entry is None else int(entry.height)

    def parent(self, block: bytes) -> bytes | None:
        """The block before a known one."""
        entry = self._entry(block)
        return bytes(entry.block_header.prev_hash) if entry is not None and entry.height else None

    def header(self, block: bytes) -> Header:
        """The header of a known block."""
        return Header.parse(bytes(self._entry(block).block_header))

    def block(self, name: bytes) -> bytes | None:
        """A whole block, of any branch."""
        entry = self._entry(name)
        return None if entry is None else bytes(self._manager.blocks[entry])

    def process(self, raw: bytes) -> None:
        """Take in a block; raises `BlockInvalid`. One that is known already is no error."""
        try:
            self._manager.process_block(self._pbk.Block(raw))
        except (RuntimeError, self._pbk.KernelException) as error:
            raise BlockInvalid(str(error)) from None

    def check_scripts(self, tx: Transaction, spent: list[TxOut]) -> None:
        """Raises `TxRefused` unless every input may spend its coin, by Bitcoin's rules."""
        theirs = self._pbk.Transaction(tx.encode())
        for index, coin in enumerate(spent):
            script = self._pbk.ScriptPubkey(coin.script)
            flags = self._pbk.ScriptVerificationFlags
            if not script.verify(coin.value, theirs, None, index, flags.ALL & ~flags.TAPROOT):
                raise TxRefused(f"mandatory-script-verify-flag-failed (input {index})")

    def _entry(self, block: bytes) -> Any:
        try:
            return self._manager.block_tree_entries[self._pbk.BlockHash(block)]
        except KeyError:
            return None
