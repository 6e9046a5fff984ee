"""The anchor's folder: damage is noticed, mended where that can be done, and refused clearly where it cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anchor.core import Core
from anchor.errors import LogDamaged
from anchor.folder import Folder, NotHere, leaf_of
from anchor.messages import Message, MessageStore
from anchor.receipt.merkle import leaf_hash, root_from_path
from anchor.tiles import tile_path
from bus.signing import VERDICTS
from bus.wire import encode
from tests.anchor import receipts, rfc6962

COUNT = 700
BODIES = [
    receipts.VERIFIER.seal(
        VERDICTS, [encode(receipts.verdict(f"me.t{number}-{at}", source=(number, at))) for at in range(7)]
    )
    for number in range(1, COUNT // 7 + 1)
]


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Folder, Core]]:
    """A folder with all of `BODIES`, and the core that says what its tree is."""
    core, folder = Core("log"), Folder(tmp_path)
    fill(core, folder, BODIES)
    yield folder, core
    folder.close()


def fill(core: Core, folder: Folder, bodies: list[bytes]) -> None:
    messages, tiles = [], []
    for body in bodies:
        logged = core.fold_verdicts(core.position + 1, body)
        messages.append(Message(logged.sequence, logged.first, logged.lines, body))
        tiles += logged.tiles
    folder.commit(messages, tiles, core.edge.partial())


def holds(folder: Folder, core: Core, leaf: int) -> bool:
    message, line = folder.message(leaf)
    found = leaf_of(message.body, line)
    path = folder.inclusion(found, leaf, core.state)
    return root_from_path(leaf_hash(found), leaf, core.edge.size, path) == core.edge.root()


def test_every_leaf_is_found_and_proven(filled: tuple[Folder, Core]) -> None:
    """Of the tree that RFC 6962 defines over them."""
    folder, core = filled
    everything = [leaf_of(body, at) for body in BODIES for at in range(7)]

    assert core.edge.root() == rfc6962.mth(everything)
    assert all(holds(folder, core, leaf) for leaf in range(0, COUNT, 13))


@pytest.mark.parametrize("tile", [(0, 0), (0, 1)])
@pytest.mark.parametrize("how", ["bit", "cut", "gone"])
def test_a_damaged_tile_is_noticed_and_made_again(
    filled: tuple[Folder, Core], tmp_path: Path, tile: tuple[int, int], how: str
) -> None:
    """Whatever happened to it: a proof that would not lead to the signed root makes it anew, as it was."""
    folder, core = filled
    path = tmp_path / "log" / tile_path(*tile)
    before = path.read_bytes()
    if how == "bit":
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    elif how == "cut":
        path.write_bytes(before[:100])
    else:
        path.unlink()

    assert holds(folder, core, 256 * tile[1] + 5)
    assert path.read_bytes() == before


def test_what_cannot_be_made_again_is_refused(filled: tuple[Folder, Core], tmp_path: Path) -> None:
    """A tile and the messages below it: no proof is handed out that does not hold."""
    folder, core = filled
    message, line = folder.message(0)
    (tmp_path / "log" / tile_path(0, 0)).write_bytes(bytes(8192))
    for path in (tmp_path / "messages").glob("*.verdicts"):
        data = path.read_bytes()
        path.write_bytes(data[:300] + b"\x00" + data[301:])

    with pytest.raises(LogDamaged, match="restore the anchor's folder from a backup"):
        folder.inclusion(leaf_of(message.body, line), 0, core.state)
    with pytest.raises(NotHere, match="leaf 0 is in the log, but not in this anchor's folder"):
        folder.message(0)


@given(st.integers(0, 2**32), st.integers(1, len(BODIES)))
@settings(max_examples=25)
def test_a_store_that_was_cut_off_anywhere_goes_on_behind_its_last_whole_record(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    """As a power failure leaves it: what is read afterwards is what was appended, and the rest is appended again."""
    folder = tmp_path_factory.mktemp("store")
    messages = [Message(at + 1, 7 * at, tuple(range(7)), body) for at, body in enumerate(BODIES[:count])]
    store = MessageStore(folder)
    store.append(messages)
    store.sync()
    store.close()
    last = max(folder.glob("*.verdicts"))
    with last.open("r+b") as file:
        file.truncate(cut % (last.stat().st_size + 1))
    again = MessageStore(folder)
    kept = again.last.sequence if again.last is not None else 0
    again.append(messages)
    again.sync()

    assert kept <= count
    assert [again.holding(7 * at + 3) for at in range(count)] == messages
    again.close()


def test_a_folder_is_read_by_who_comes_next(filled: tuple[Folder, Core], tmp_path: Path) -> None:
    """The edge of the tree is in the tiles: a restart goes on from there, without the messages."""
    folder, core = filled
    folder.close()
    again = Folder(tmp_path)

    assert again.size == COUNT
    assert again.edge_at(COUNT).pack() == core.edge.pack()
    with pytest.raises(FileNotFoundError):
        again.edge_at(COUNT + 1)
    again.close()


def test_tiles_have_the_paths_that_the_specification_gives() -> None:
    """C2SP tlog-tiles' own example."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(1, 5, 17) == "tile/1/005.p/17"


def test_earlier_widths_of_a_partial_tile_go(tmp_path: Path) -> None:
    """One file for each level: nobody needs the others, and they would be as many as there were checkpoints."""
    core, folder = Core("log"), Folder(tmp_path)
    for body in BODIES[:20]:
        fill(core, folder, [body])
    partial = [path.name for path in (tmp_path / "log/tile/0/000.p").iterdir()]

    assert partial == ["140"]
    folder.close()
