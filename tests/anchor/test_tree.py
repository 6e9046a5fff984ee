"""The growing tree: roots, tiles and proofs, against RFC 6962's own definitions, published vectors, and Go's implementation."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchor.receipt.merkle import HASH_BYTES, is_consistent, leaf_hash, root_from_path
from anchor.tree.edge import TILE_WIDTH, Edge, Tile, tile_root, width_at
from anchor.tree.proofs import Proofs
from tests.anchor import rfc6962
from tests.bus.test_merkle import LEAVES, ROOTS


class Shelf:
    """Every tile that ever came out, as a reader of files would find it."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def add(self, tiles: list[Tile]) -> None:
        """Keep them; a later one in the same place has more in it."""
        self.tiles |= {(tile.level, tile.number): tile.data for tile in tiles}

    def read(self, level: int, number: int, width: int) -> bytes:
        """Like `anchor.tree.proofs.ReadTile`."""
        data = self.tiles[level, number]
        assert len(data) >= width * HASH_BYTES
        return data


def grown(batches: list[list[bytes]]) -> tuple[Edge, Shelf]:
    edge, shelf = Edge(), Shelf()
    for batch in batches:
        shelf.add(edge.append([leaf_hash(leaf) for leaf in batch]))
    shelf.add(edge.partial())
    return edge, shelf


def numbered(size: int) -> list[bytes]:
    return [b"%d" % at for at in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_implementation(size: int) -> None:
    """The published tree of eight leaves, one at a time."""
    edge, _ = grown([[leaf] for leaf in LEAVES[:size]])

    assert edge.root().hex() == ROOTS[size]


@given(st.lists(st.integers(0, 700), min_size=1, max_size=4))
def test_the_root_is_that_of_the_definition_however_leaves_come(sizes: list[int]) -> None:
    """Batches of any size give the tree of all leaves together, and the same tiles."""
    leaves = numbered(sum(sizes))
    batches = [leaves[sum(sizes[:at]) : sum(sizes[: at + 1])] for at in range(len(sizes))]
    edge, shelf = grown(batches)
    at_once, whole = grown([leaves])

    assert edge.root() == at_once.root() == rfc6962.mth(leaves)
    assert (edge.size, edge.pack(), shelf.tiles) == (len(leaves), at_once.pack(), whole.tiles)


@given(st.integers(1, 1200), st.data())
def test_proofs_are_those_of_the_definitions(size: int, data: st.DataObject) -> None:
    """Of any leaf in any earlier tree, and from any tree to any later one."""
    leaves = numbered(size)
    _, shelf = grown([leaves])
    proofs = Proofs(shelf.read)
    then = data.draw(st.integers(1, size))
    index, old = data.draw(st.integers(0, then - 1)), data.draw(st.integers(1, then))

    assert proofs.inclusion(index, then) == rfc6962.path(index, leaves[:then])
    assert proofs.consistency(old, then) == rfc6962.proof(old, leaves[:then])
    assert proofs.root(then) == rfc6962.mth(leaves[:then])


def test_the_tiles_of_70_000_leaves_are_those_that_the_specification_counts() -> None:
    """C2SP tlog-tiles: 273 full and a partial of 112, one full and a partial of 17, and a partial of one."""
    edge = Edge()
    tiles = edge.append([sha256(b"%d" % at).digest() for at in range(70_000)])
    full = [sum(1 for tile in tiles if tile.level == level) for level in range(3)]

    assert full == [273, 1, 0]
    assert [(tile.level, tile.number, tile.width) for tile in edge.partial()] == [
        (0, 273, 112),
        (1, 1, 17),
        (2, 0, 1),
    ]
    assert [width_at(70_000, *place) for place in ((0, 272), (0, 273), (0, 274), (1, 1), (2, 0))] == [
        256,
        112,
        0,
        17,
        1,
    ]
    assert tile_root(tiles[0].data) == next(tile for tile in tiles if tile.level == 1).data[:32]


def test_an_edge_goes_on_from_what_was_packed() -> None:
    """As a restart does; what is no edge is refused."""
    edge, _ = grown([numbered(300)])
    again = Edge(edge.pack())
    again.append([leaf_hash(b"more")])

    assert again.root() == rfc6962.mth([*numbered(300), b"more"])
    for damaged in ([b"\x00" * 31], [b"\x00" * 32 * TILE_WIDTH]):
        with pytest.raises(ValueError, match="of an edge has 0 to 255 whole hashes"):
            Edge(damaged)


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    """Nor has a tree that is larger than the one that should begin with it."""
    _, shelf = grown([numbered(3)])
    proofs = Proofs(shelf.read)
    for ask in (
        lambda: proofs.inclusion(3, 3),
        lambda: proofs.inclusion(-1, 3),
        lambda: proofs.consistency(4, 3),
    ):
        with pytest.raises(IndexError):
            ask()


def test_tree_and_proofs_are_those_of_gos_checksum_database() -> None:
    """1,000 leaves, their numbers in decimal: root, path of leaf 389 and proof from 600, as golang.org/x/mod/sumdb/tlog v0.43.0 computes them."""
    edge, shelf = grown([numbered(1000)])
    proofs = Proofs(shelf.read)
    path, proof = proofs.inclusion(389, 1000), proofs.consistency(600, 1000)

    assert edge.root().hex() == "638afa98022925bacfddadb15ef22fd0199c1ac99c2973b6158243d13fce05c2"
    assert (
        sha256(b"".join(path)).hexdigest()
        == "69b6b27f7e859fe3ad5309dd4c39e1ade4ac47d90e7d471ff6e7c4898ec0a940"
    )
    assert (
        sha256(b"".join(proof)).hexdigest()
        == "01a965bc8133702ac9a89c07475822bab976415823a1e1adc080d97707ae4e38"
    )
    assert root_from_path(leaf_hash(b"389"), 389, 1000, path) == edge.root()
    assert is_consistent(600, proofs.root(600), 1000, edge.root(), proof)
