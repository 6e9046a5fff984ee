"""The sparse Merkle tree, against one that is written as the paper says it."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ledger.proof import EMPTY, key_of, leaf_hash, pack_path, root_of, unpack_path
from ledger.tree import Tree
from tests.ledger import naive

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())

names = st.integers(0, 60).map(lambda n: f"node/n{n}")
texts = st.dictionaries(names, st.binary(max_size=8), max_size=40)


def test_the_vectors_hold() -> None:
    """Roots that were written down once, by the naive tree: neither of the two may move."""
    for vector in VECTORS:
        leaves = {name: text.encode() for name, text in vector["leaves"].items()}

        assert Tree().updated(leaves).root.hex() == naive.root(leaves).hex() == vector["root"]


@given(st.lists(texts, max_size=5))
def test_the_root_is_that_of_the_leaves_whatever_the_way_to_them(batches: list[dict[str, bytes]]) -> None:
    """In any number of batches, with leaves replaced on the way; and earlier trees stay as they were."""
    tree, held, before = Tree(), dict[str, bytes](), []
    for batch in batches:
        tree = tree.updated(batch)
        held |= batch
        before.append((tree, dict(held)))

    for each, leaves in before:
        assert each.root == naive.root(leaves)
        assert len(each) == len(leaves)
        assert sorted(each.texts()) == sorted(leaves.values())


@given(texts, names)
def test_a_path_shows_what_is_there_and_that_nothing_is(held: dict[str, bytes], name: str) -> None:
    """The siblings are the naive tree's, and lead to its root from the leaf, from the neighbour, or from nothing."""
    siblings, text, neighbour = Tree().updated(held).path(name)

    assert text == held.get(name)
    assert siblings == naive.siblings(held, name)
    if name in held:
        found = leaf_hash(key_of(name), naive.hashlib.sha256(held[name]).digest())
    else:
        found = leaf_hash(*neighbour) if neighbour else EMPTY
    assert root_of(key_of(name), found, siblings) == naive.root(held)


@given(st.lists(st.sampled_from([EMPTY, b"\1" * 32, b"\2" * 32]), max_size=256))
def test_a_packed_path_is_the_path(siblings: list[bytes]) -> None:
    """Empty siblings cost a bit, others 32 bytes."""
    packed = pack_path(siblings)

    assert unpack_path(packed) == siblings
    full = sum(each != EMPTY for each in siblings)
    assert len(packed) <= (2 + (len(siblings) + 7) // 8 + 32 * full + 2) // 3 * 4


def test_keys_that_part_late_make_a_long_path_with_few_bytes() -> None:
    """Two leaves whose keys share their first twenty bits, found by search: the empty siblings between cost nothing to speak of."""
    first: dict[bytes, str] = {}
    pair = None
    for number in range(100_000):
        name = f"node/{number}"
        other = first.setdefault(key_of(name)[:2] + bytes([key_of(name)[2] & 0xF0]), name)
        if other != name:
            pair = (other, name)
            break
    assert pair is not None
    held = dict.fromkeys(pair, b"x")
    siblings, text, _ = Tree().updated(held).path(pair[0])

    assert text == b"x"
    assert len(siblings) > 20
    assert sum(each != EMPTY for each in siblings) == 1
    assert Tree().updated(held).root == naive.root(held)
