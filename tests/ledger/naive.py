"""The tree of the ledger once more, as its paper says it and as slowly as that is: bit strings, dictionaries and recursion, nothing of ours."""

import hashlib


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def bits(name: str) -> str:
    """The key of a name as 256 characters."""
    return f"{int(hashlib.sha256(name.encode()).hexdigest(), 16):0256b}"


def root(texts: dict[str, bytes]) -> bytes:
    """The root over texts by name."""
    return _node({bits(name): text for name, text in texts.items()}, "")


def _node(leaves: dict[str, bytes], prefix: str) -> bytes:
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        [(key, text)] = leaves.items()
        return _sha(b"\0", int(key, 2).to_bytes(32, "big"), _sha(text))
    sides = [{k: t for k, t in leaves.items() if k.startswith(prefix + bit)} for bit in "01"]
    return _sha(b"\1", *(_node(side, prefix + bit) for side, bit in zip(sides, "01", strict=True)))


def siblings(texts: dict[str, bytes], name: str) -> list[bytes]:
    """What stands beside the way to `name`, from the root down."""
    leaves, key, prefix, found = {bits(each): text for each, text in texts.items()}, bits(name), "", []
    while len(leaves) > 1:
        bit = key[len(prefix)]
        other = prefix + ("1" if bit == "0" else "0")
        found.append(_node({k: t for k, t in leaves.items() if k.startswith(other)}, other))
        prefix += bit
        leaves = {k: t for k, t in leaves.items() if k.startswith(prefix)}
    return found
