"""The receipt of an account of the ledger as a file: what it holds, or what its month took in energy, in a state that the log's key signed.

Guarantees that two different files never read as the same receipt. What the sections say is not looked at here beyond their form;
`anchor.receipt.account_check` does that. Layout: RECEIPT.md.
"""

from typing import NamedTuple

from anchor.receipt.commitment import Step
from anchor.receipt.container import read_keys
from anchor.receipt.errors import Malformed
from anchor.receipt.file import Section, read_sections, write_sections
from anchor.receipt.merkle import HASH_BYTES
from anchor.receipt.note import Key, Note, read_note, write_note
from anchor.receipt.published import Published, read_published, write_published
from anchor.receipt.text import base64_of, bytes_of, lines_of, steps_of, text_of, write_steps

__all__ = ["TREES", "AccountReceipt", "of_sections", "read_account_receipt", "write_account_receipt"]

TREES = ("accounts", "energy")
"""The trees of the ledger: over what accounts received and gave, and over what their months took."""
_DEEPEST = 256


class AccountReceipt(NamedTuple):
    """What stands under `name` in `tree`, with the steps from there to the tree's root, and the signed state of the ledger with that root.

    `leaf` is what stands there, byte for byte. Where nothing does, `neighbour` (key and SHA-256 of the text, 64 bytes) is the leaf in its
    place, if there is one. `key` is the log's.
    """

    tree: str
    name: str
    leaf: bytes | None
    neighbour: bytes | None
    steps: tuple[Step, ...]
    key: Key
    state: Note
    bitcoin: Published | None = None


def write_account_receipt(receipt: AccountReceipt) -> bytes:
    """The file; `read_account_receipt` undoes it."""
    if receipt.leaf is not None:
        stands = b"leaf " + receipt.leaf
    elif receipt.neighbour is not None:
        stands = b"neighbour " + base64_of(receipt.neighbour).encode()
    else:
        stands = b"nothing"
    lines = receipt.tree.encode(), receipt.name.encode(), stands, write_steps(receipt.steps).encode()
    sections = [
        ("account", b"\n".join(lines)),
        ("keys", f"{receipt.key}\n".encode()),
        ("state", write_note(receipt.state)),
    ]
    if receipt.bitcoin is not None:
        sections.append(("bitcoin", write_published(receipt.bitcoin)))
    return write_sections(sections)


def read_account_receipt(data: bytes) -> AccountReceipt:
    """The receipt in a file. Raises `Malformed`; nothing is verified."""
    return of_sections(read_sections(data))


def of_sections(sections: list[Section]) -> AccountReceipt:
    """The receipt that these sections are. Raises `Malformed`; nothing is verified."""
    names = [name for name, _ in sections]
    if names not in (["account", "keys", "state"], ["account", "keys", "state", "bitcoin"]):
        raise Malformed("file", "must have the sections account, keys, state, then bitcoin if any")
    (_, account), (_, keys), (_, state), *rest = sections
    lines = lines_of("account", text_of("account", account))
    if len(lines) < 3 or lines[0] not in TREES:  # noqa: PLR2004 -- tree, name, and what stands there
        raise Malformed(
            "account", f"must begin with one of {', '.join(TREES)}, a name, and what stands there"
        )
    found = read_keys(keys)
    if len(found) != 1:
        raise Malformed("keys", f"must be the log's alone, these are {len(found)}")
    steps = steps_of("account steps", lines[3:])
    if len(steps) > _DEEPEST:
        raise Malformed("account steps", f"are at most {_DEEPEST}, these are {len(steps)}")
    return AccountReceipt(
        lines[0],
        lines[1],
        *_stands(lines[2]),
        steps,
        found[0],
        read_note(state, "state"),
        read_published(rest[0][1]) if rest else None,
    )


def _stands(line: str) -> tuple[bytes | None, bytes | None]:
    """The leaf, or its neighbour, or neither."""
    word, _, rest = line.partition(" ")
    if word == "leaf" and rest:
        return rest.encode(), None
    if word == "neighbour":
        neighbour = bytes_of("account neighbour", rest)
        if len(neighbour) == 2 * HASH_BYTES:
            return None, neighbour
    elif line == "nothing":
        return None, None
    raise Malformed("account", f"must say 'leaf', 'neighbour' with {2 * HASH_BYTES} bytes, or 'nothing'")
