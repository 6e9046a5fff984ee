"""The store gives out only what it was given, and runs only what it made."""

import stat
from pathlib import Path

import pytest

from sandbox import DigestMismatch, ModuleStore, UnknownModule, UnsafeArtefact, UnsafeStore

WASM = b"\0asm\x01\0\0\0"
CONF = "conf"


@pytest.fixture
def store(tmp_path: Path) -> ModuleStore:
    return ModuleStore(tmp_path / "store")


def artefact(store: ModuleStore, digest: str) -> Path:
    return store.path / f"{digest}.{CONF}.native"


def test_what_goes_in_comes_out(store):
    """A module is found under its digest, also by another store over the same folder."""
    digest = store.add(WASM)

    assert store.read(digest) == WASM
    assert ModuleStore(store.path).has(digest)


def test_the_folder_is_private(store):
    """Only the owner may enter."""
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.path / "artefact.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_others_can_write_is_refused(tmp_path, mode):
    """Whoever could write there could make the node run machine code of theirs."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(UnsafeStore, match="chmod 700"):
        ModuleStore(folder)


def test_a_link_to_a_folder_is_refused(tmp_path):
    """The folder must be what it is named."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(UnsafeStore):
        ModuleStore(tmp_path / "link")


def test_a_readable_key_is_refused(store):
    """A key that others may have read authenticates nothing."""
    (store.path / "artefact.key").chmod(0o644)

    with pytest.raises(UnsafeStore):
        ModuleStore(store.path)


def test_a_wrong_digest_is_refused(store):
    """Bytes cannot be stored under a digest that is not theirs."""
    with pytest.raises(DigestMismatch):
        store.add(WASM, "0" * 64)
    assert list(store.path.glob("*.wasm")) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_digest_is_unknown(store, digest):
    """Names that are not digests never become paths."""
    assert not store.has(digest)
    with pytest.raises(UnknownModule):
        store.read(digest)


def test_a_damaged_module_is_removed(store):
    """A file that changed is never given out, and can be added again."""
    digest = store.add(WASM)
    (store.path / f"{digest}.wasm").write_bytes(WASM + b"!")

    with pytest.raises(UnknownModule, match="damaged"):
        store.read(digest)
    assert store.add(WASM) == digest
    assert store.read(digest) == WASM


def test_an_artefact_of_ours_is_read(store):
    """What was written is given back, by any store over the folder."""
    store.write_artefact("a" * 64, CONF, b"code")

    assert ModuleStore(store.path).read_artefact("a" * 64, CONF) == b"code"


def test_a_tampered_artefact_is_refused(store):
    """One changed byte anywhere, in the code or in its HMAC, is noticed."""
    store.write_artefact("a" * 64, CONF, b"code")
    path = artefact(store, "a" * 64)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UnsafeArtefact):
            store.read_artefact("a" * 64, CONF)


def test_an_artefact_under_another_name_is_refused(store):
    """A genuine artefact does not serve for another module or configuration."""
    store.write_artefact("a" * 64, CONF, b"code")
    artefact(store, "a" * 64).rename(artefact(store, "b" * 64))

    with pytest.raises(UnsafeArtefact):
        store.read_artefact("b" * 64, CONF)


def test_an_artefact_of_another_store_is_refused(store, tmp_path):
    """A copied cache is not trusted: it was made under another key."""
    other = ModuleStore(tmp_path / "other")
    other.write_artefact("a" * 64, CONF, b"code")
    artefact(store, "a" * 64).write_bytes(artefact(other, "a" * 64).read_bytes())

    with pytest.raises(UnsafeArtefact):
        store.read_artefact("a" * 64, CONF)


def test_an_artefact_others_can_write_is_refused(store):
    """Permissions are looked at on the open file."""
    store.write_artefact("a" * 64, CONF, b"code")
    artefact(store, "a" * 64).chmod(0o666)

    with pytest.raises(UnsafeArtefact):
        store.read_artefact("a" * 64, CONF)


def test_an_artefact_behind_a_link_is_refused(store, tmp_path):
    """Links are not followed."""
    store.write_artefact("a" * 64, CONF, b"code")
    moved = tmp_path / "moved"
    artefact(store, "a" * 64).rename(moved)
    artefact(store, "a" * 64).symlink_to(moved)

    with pytest.raises(UnsafeArtefact):
        store.read_artefact("a" * 64, CONF)


def test_nothing_half_written_is_left(store):
    """After writes only whole files lie there."""
    store.add(WASM)
    store.write_artefact("a" * 64, CONF, b"code")

    assert list(store.path.glob(".*")) == []
