"""Proofs are found under the smallest published state that holds a leaf, whatever was published, taken back, lost or damaged."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anchor.bitcoin.proofs import Kept, ProofStore
from anchor.bitcoin.publications import LEDGER, commitments
from anchor.errors import FolderUnusable
from anchor.notes import sign
from anchor.receipt.commitment import commitment, walk
from anchor.receipt.note import Checkpoint, read_checkpoint, write_note
from anchor.receipt.published import check_published
from bus.messages import Root
from tests.anchor import receipts

ORIGIN = receipts.ORIGIN
BLOCK = receipts.confirmed(bytes(32)).proof.encode()


def kept(size: int, proof: bytes = BLOCK, *more: Root) -> Kept:
    """A state of that size, in a block that is the same for all: what it commits to is not looked at here."""
    root = size.to_bytes(32)
    roots = (Root(origin=ORIGIN, size=size, root=root), *more)
    note = write_note(sign(receipts.LOG, Checkpoint(ORIGIN, size, root))).decode()
    return Kept(roots=roots, commitments=tuple(commitments(roots)), note=note, network="regtest", proof=proof)


def found(store: ProofStore, leaf: int) -> int | None:
    """The size of the state under which a leaf is found."""
    there = store.find(leaf, ORIGIN)
    return None if there is None else read_checkpoint(there[0].text).size


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("built"), st.integers(0, 3)),  # a new publication, of so many leaves more
        st.tuples(st.just("missed"), st.integers(0, 3)),  # the same, while this machine was away
        st.tuples(st.just("final"), st.integers(0, 40)),
        st.tuples(st.just("dropped"), st.integers(0, 40)),
        st.tuples(st.just("again"), st.integers(0, 40)),  # a restart, from that number on
    ),
    max_size=40,
)


@settings(max_examples=80)
@given(STEPS)
def test_a_leaf_is_found_under_the_smallest_state_that_is_final_and_here(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Over any history of publications, restarts among them."""
    folder = tmp_path_factory.mktemp("proofs")
    store, sizes, seen, final = ProofStore(folder), [0], set[int](), dict[int, int]()
    for what, number in steps:
        if what in ("built", "missed"):
            sizes.append(sizes[-1] + number)
            if what == "built":
                store.announce(len(sizes) - 1, sizes[-1])
                seen.add(len(sizes) - 1)
        elif what == "again":
            store.sync()
            store.close()
            store = ProofStore(folder)
            for each in sorted(seen - set(range(number))):
                store.announce(each, sizes[each])
                if each in final:
                    store.keep(each, kept(sizes[each]))
        elif number in seen and what == "final":
            store.keep(number, kept(sizes[number]))
            final[number] = sizes[number]
        elif number in final:
            store.drop(number)
            del final[number]
    for leaf in range(sizes[-1] + 2):
        assert found(store, leaf) == min((each for each in final.values() if each > leaf), default=None)
    assert store.final_size == (final[max(final)] if final else 0)
    store.close()


def test_what_is_damaged_or_cut_costs_a_later_time_and_no_proof(tmp_path: Path) -> None:
    """The log only grows: the next state that is here holds the same leaf."""
    store = ProofStore(tmp_path)
    for number, size in enumerate((3, 5, 9), 1):
        store.announce(number, size)
        store.keep(number, kept(size))
    store.close()
    data = bytearray((tmp_path / "proofs").read_bytes())
    data[100] ^= 1
    (tmp_path / "proofs").write_bytes(data)
    store = ProofStore(tmp_path)
    assert [found(store, leaf) for leaf in (0, 3, 5, 9)] == [5, 5, 9, None]
    store.close()
    (tmp_path / "proofs").write_bytes(data[:-1])
    store = ProofStore(tmp_path)
    assert [found(store, leaf) for leaf in (0, 5)] == [5, None]
    store.keep(3, kept(9))
    assert found(store, 5) == 9
    store.close()


def test_each_state_of_a_batch_has_its_way_to_the_transaction(tmp_path: Path) -> None:
    """The log's and the ledger's, in one publication."""
    ledger = Root(origin=LEDGER, size=7, root=b"\x07" * 32)
    root = Root(origin=ORIGIN, size=4, root=(4).to_bytes(32))
    both = commitments((root, ledger))
    carried = walk(both[0], kept(4, BLOCK, ledger).published(ORIGIN).batch)
    store = ProofStore(tmp_path)
    store.announce(1, 4)
    store.keep(1, kept(4, receipts.confirmed(carried).proof.encode(), ledger))
    there = store.get(1)
    assert there is not None
    for origin, committed in ((ORIGIN, commitment(ORIGIN, 4, root.root)), (LEDGER, ledger.root)):
        assert check_published(there.published(origin), committed).successors == 6
    with pytest.raises(ValueError, match="nobody"):
        there.published("nobody's")
    store.close()


def test_a_folder_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    """Like every folder of the anchor."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match="choose another --data"):
        ProofStore(tmp_path / "file")
