"""The Merkle tree: the published vectors, and any tree against a second implementation written from the RFC's definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.merkle import leaf_hash, path, root, root_from_path

# The test tree of the reference implementation of RFC 6962 (certificate-transparency, merkle_tree_test).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATH_OF_FIRST = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]

trees = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (len(data) * 8)
    return data[: at // 8] + bytes([data[at // 8] ^ (1 << at % 8)]) + data[at // 8 + 1 :]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_implementation(size: int) -> None:
    """The first `size` leaves of the published tree have the published root."""
    assert root(LEAVES[:size]).hex() == ROOTS[size]


def test_the_path_of_the_first_leaf_is_that_of_the_reference_implementation() -> None:
    """Lowest sibling first, as published."""
    assert [sibling.hex() for sibling in path(LEAVES, 0)] == PATH_OF_FIRST


@given(trees)
def test_any_root_is_that_of_the_definition(leaves: list[bytes]) -> None:
    """Pairing level by level gives what the recursion gives."""
    assert root(leaves) == defined_root(leaves)


@given(trees, st.data())
def test_every_path_leads_to_the_root_and_is_short(leaves: list[bytes], data: st.DataObject) -> None:
    """A member is shown with at most ⌈log₂ n⌉ hashes."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    siblings = path(leaves, index)

    assert root_from_path(leaves[index], index, len(leaves), siblings) == root(leaves)
    assert len(siblings) <= (len(leaves) - 1).bit_length()


@given(st.lists(st.binary(min_size=1, max_size=8), min_size=2, max_size=20), st.data())
def test_one_changed_bit_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    """In the leaf or in any sibling: the root is another one."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    bit = data.draw(st.integers(0, 10_000))
    siblings = path(leaves, index)
    at = data.draw(st.integers(0, len(siblings) - 1))
    bent = [flipped(sibling, bit) if i == at else sibling for i, sibling in enumerate(siblings)]

    assert root_from_path(flipped(leaves[index], bit), index, len(leaves), siblings) != root(leaves)
    assert root_from_path(leaves[index], index, len(leaves), bent) != root(leaves)


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=20, unique=True), st.data())
def test_a_path_proves_its_own_place_only(leaves: list[bytes], data: st.DataObject) -> None:
    """The same leaf and path at another index, longer or shorter, do not lead to the root."""
    index, other = data.draw(st.permutations(range(len(leaves))))[:2]
    siblings = path(leaves, index)

    assert root_from_path(leaves[index], other, len(leaves), siblings) != root(leaves)
    assert root_from_path(leaves[index], index, len(leaves), siblings[:-1]) != root(leaves)
    assert root_from_path(leaves[index], index, len(leaves), [*siblings, bytes(32)]) != root(leaves)


def test_an_inner_node_is_no_leaf() -> None:
    """The second pre-image attack of RFC 6962, 2.1: two hashes side by side do not pass for one leaf."""
    forged = leaf_hash(LEAVES[0]) + leaf_hash(LEAVES[1])

    assert root([forged]) != root(LEAVES[:2])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_places_outside_the_tree_are_refused(index: int, size: int) -> None:
    """There is neither a path to them nor a root from them."""
    assert root_from_path(b"x", index, size, []) is None
    with pytest.raises(IndexError, match="is not among"):
        path([b"x"] * size, index)
