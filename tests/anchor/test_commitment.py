"""What goes into a transaction: bytes that anyone can make again, for one log or for many."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchor.receipt.commitment import commitment, join, op_return, payload, walk

ROOT = bytes(range(32))


def test_a_commitment_is_the_published_hash() -> None:
    """Domain, origin, line break, size and root, in this order and encoding: RECEIPT.md."""
    expected = sha256(b"ambient-vcp anchor v1\nexample.com/log\n" + bytes([0, 0, 0, 0, 0, 0, 1, 2]) + ROOT)

    assert commitment("example.com/log", 258, ROOT) == expected.digest()
    assert payload(expected.digest()) == b"AVCP" + expected.digest()
    assert op_return(expected.digest()) == b"\x6a\x24AVCP" + expected.digest()


@pytest.mark.parametrize(("origin", "root"), [("", ROOT), ("a\nb", ROOT), ("a", b"short")])
def test_what_could_be_read_in_two_ways_is_not_committed(origin: str, root: bytes) -> None:
    """An origin with a line break could hide a size."""
    with pytest.raises(ValueError, match="an origin is one line"):
        commitment(origin, 1, root)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20))
def test_every_log_of_a_batch_has_its_way_to_the_one_root(commitments: list[bytes]) -> None:
    """And one log alone is its own root, without a step."""
    root, steps = join(commitments)

    assert [walk(each, path) for each, path in zip(commitments, steps, strict=True)] == [root] * len(
        commitments
    )
    if len(commitments) == 1:
        assert (root, steps) == (commitments[0], [()])
