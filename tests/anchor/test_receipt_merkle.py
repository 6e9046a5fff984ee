"""Checking paths and consistency: whatever RFC 6962's definitions prove is accepted, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchor.receipt.merkle import is_consistent, leaf_hash, root_from_path
from tests.anchor import rfc6962

trees = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (len(data) * 8)
    return data[: at // 8] + bytes([data[at // 8] ^ (1 << at % 8)]) + data[at // 8 + 1 :]


@given(trees, st.data())
def test_every_path_of_the_definition_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    """Whatever tree, whichever leaf."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = rfc6962.path(index, leaves)

    assert root_from_path(leaf_hash(leaves[index]), index, len(leaves), path) == rfc6962.mth(leaves)


@given(trees, st.data())
def test_a_path_that_was_changed_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    """One flipped bit, one hash more or one less, another leaf: none leads to the root."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = rfc6962.path(index, leaves), rfc6962.mth(leaves)
    found = leaf_hash(leaves[index])

    assert root_from_path(flipped(found, data.draw(st.integers(0, 255))), index, len(leaves), path) != root
    assert root_from_path(found, index, len(leaves), [*path, root]) is None
    if path:
        at, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        changed = [*path[:at], flipped(path[at], bit), *path[at + 1 :]]
        assert root_from_path(found, index, len(leaves), changed) != root
        assert root_from_path(found, index, len(leaves), path[:-1]) is None


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (5, 2)])
def test_an_index_outside_the_tree_leads_nowhere(index: int, size: int) -> None:
    """Also where the path is empty."""
    assert root_from_path(bytes(32), index, size, []) is None


@given(trees, st.data())
def test_every_consistency_proof_of_the_definition_holds(leaves: list[bytes], data: st.DataObject) -> None:
    """From any earlier size, and from nothing."""
    old = data.draw(st.integers(1, len(leaves)))
    proof, old_root, root = rfc6962.proof(old, leaves), rfc6962.mth(leaves[:old]), rfc6962.mth(leaves)

    assert is_consistent(old, old_root, len(leaves), root, proof)
    assert is_consistent(0, rfc6962.mth([]), len(leaves), root, [])


@given(trees, st.data())
def test_a_consistency_proof_shows_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    """Other roots, other hashes, more or fewer of them: none is accepted."""
    old = data.draw(st.integers(1, len(leaves)))
    proof, old_root, root = rfc6962.proof(old, leaves), rfc6962.mth(leaves[:old]), rfc6962.mth(leaves)
    bit = data.draw(st.integers(0, 255))

    assert not is_consistent(old, flipped(old_root, bit), len(leaves), root, proof)
    assert not is_consistent(old, old_root, len(leaves), flipped(root, bit), proof)
    assert not is_consistent(old, old_root, len(leaves), root, [*proof, root])
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        assert not is_consistent(old, old_root, len(leaves), root, changed)
        assert not is_consistent(old, old_root, len(leaves), root, proof[:-1])


def test_a_log_that_shrank_is_consistent_with_nothing() -> None:
    """Nor one that has the size and another root, nor one that claims that the empty tree had a root."""
    assert not is_consistent(2, bytes(32), 1, bytes(32), [])
    assert not is_consistent(2, bytes(32), 2, bytes(range(32)), [])
    assert not is_consistent(0, bytes(32), 2, bytes(range(32)), [])
    assert not is_consistent(2, bytes(32), 3, bytes(32), [])
