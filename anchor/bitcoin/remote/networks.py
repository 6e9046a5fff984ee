"""Telling one network from another by its first block."""

from collections.abc import Mapping
from types import MappingProxyType

from anchor.bitcoin.errors import ChainWrong
from anchor.receipt.bitcoin.encoding import from_display

__all__ = ["GENESIS", "check_genesis"]

GENESIS: Mapping[str, bytes] = MappingProxyType(
    {
        name: from_display(text, name)
        for name, text in (
            ("main", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
            ("testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
            ("signet", "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
            ("regtest", "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
        )
    }
)
"""The first block of each network, in hashing order."""


def check_genesis(network: str, first: bytes | None) -> None:
    """Raises `ChainWrong` unless `first` is how the network begins."""
    if first != GENESIS[network]:
        raise ChainWrong("getblockhash", f"the first block of {network}: the node follows another network")
