"""Signed batches and identities: what was signed holds, whatever else was sent does not."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import merkle
from bus.errors import BadSignature, BusError, IdentityUnusable, Malformed
from bus.signing import GOODBYE, RESULTS, TELEMETRY, VERDICTS, Identity, open_one_of, open_signed, pae

SIGNER = Identity.from_seed(bytes(32))
MEMBERS = [b'{"a":1}', b'{"b":2}', b'{"c":3}']
lines = st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line and not line.isspace())


def envelope_of(body: bytes) -> bytes:
    return body.split(b"\n", 1)[0]


@given(st.lists(lines, min_size=1, max_size=20))
def test_what_was_sealed_opens_with_its_very_bytes(members: list[bytes]) -> None:
    """Any members come back as they were, with the signer's key."""
    assert open_signed(SIGNER.seal(RESULTS, members), RESULTS) == (SIGNER.key, members)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([b'{"a":1}', b'{"b":9}', b'{"c":3}'], id="altered"),
        pytest.param([b'{"b":2}', b'{"a":1}', b'{"c":3}'], id="swapped"),
        pytest.param([b'{"a":1}', b'{"b":2}'], id="dropped"),
        pytest.param([*MEMBERS, b'{"d":4}'], id="added"),
        pytest.param([*MEMBERS, MEMBERS[-1]], id="repeated"),
        pytest.param([b'{"a": 1}', *MEMBERS[1:]], id="reformatted"),
        pytest.param([MEMBERS[0] + b"\r", *MEMBERS[1:]], id="carriage return"),
    ],
)
def test_other_members_than_the_signed_ones_are_not_believed(members: list[bytes]) -> None:
    """The signature covers each byte of each member, their order and their number."""
    body = b"\n".join([envelope_of(SIGNER.seal(RESULTS, MEMBERS)), *members])

    with pytest.raises(BadSignature, match="does not hold"):
        open_signed(body, RESULTS)


def test_a_result_cannot_pass_for_a_verdict() -> None:
    """Neither where a verdict is expected, nor with the type in its envelope changed."""
    body = SIGNER.seal(RESULTS, MEMBERS)

    with pytest.raises(BadSignature, match="signed as"):
        open_signed(body, VERDICTS)
    with pytest.raises(BadSignature, match="does not hold"):
        open_signed(body.replace(b".results+", b".verdicts+"), VERDICTS)


def test_another_key_than_the_expected_one_is_not_believed() -> None:
    """Also where its signature holds."""
    body = Identity.generate().seal(RESULTS, MEMBERS)

    open_signed(body, RESULTS)
    with pytest.raises(BadSignature, match="signed by"):
        open_signed(body, RESULTS, key=SIGNER.key)


def test_where_two_types_may_come_the_one_that_came_is_told() -> None:
    """Telemetry and goodbyes share a subject; anything else is refused there."""
    types = (TELEMETRY, GOODBYE)

    assert open_one_of(SIGNER.seal(GOODBYE, MEMBERS), types) == (GOODBYE, SIGNER.key, MEMBERS)
    with pytest.raises(BadSignature, match="signed as"):
        open_one_of(SIGNER.seal(RESULTS, MEMBERS), types)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (SIGNER.key[:4].encode(), SIGNER.key[:4].upper().encode(), "keyid"),
        (SIGNER.key[:4].encode(), b" " + SIGNER.key[1:4].encode(), "keyid"),
        (b'"sig":"', b'"sig":"A', "sig"),
        (b'"sig":"', b'"gis":"', "sig"),
        (b"application/", b"a" * 300, "payloadType"),
    ],
)
def test_an_envelope_has_one_spelling(old: bytes, new: bytes, field: str) -> None:
    """A key in capitals or with blanks would be a second name of the same key; each such field is named."""
    assert SIGNER.key[:4] != SIGNER.key[:4].upper()
    with pytest.raises(Malformed) as caught:
        open_signed(SIGNER.seal(RESULTS, MEMBERS).replace(old, new, 1), RESULTS)
    assert caught.value.field == field


def test_an_envelope_without_members_says_nothing() -> None:
    """It is refused, although a root of no leaves exists and could be signed."""
    with pytest.raises(Malformed, match="at least one member"):
        open_signed(SIGNER.seal(RESULTS, []), RESULTS)


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
def test_damaged_or_invented_bodies_are_refused_and_nothing_else(noise: bytes, at: int, value: int) -> None:
    """Whatever arrives: the signed members, or an error of this package."""
    body = bytearray(SIGNER.seal(RESULTS, MEMBERS))
    body[at % len(body)] = value
    for candidate in (bytes(body), noise, envelope_of(bytes(body)) + b"\n" + noise):
        try:
            key, members = open_signed(candidate, RESULTS)
        except BusError:
            continue
        assert (key, members) == (SIGNER.key, MEMBERS)


def test_one_member_is_shown_without_the_others() -> None:
    """Its line, its place, a path and the signature are enough, as docs/wire.md says."""
    siblings = merkle.path(MEMBERS, 1)

    assert merkle.root_from_path(MEMBERS[1], 1, 3, siblings) == merkle.root(MEMBERS)


@given(st.text(max_size=20), st.binary(max_size=40), st.text(max_size=20), st.binary(max_size=40))
def test_no_two_payloads_are_encoded_alike(type_a: str, a: bytes, type_b: str, b: bytes) -> None:
    """DSSE's encoding is injective: bytes cannot wander from the type to the payload."""
    assert (pae(type_a, a) == pae(type_b, b)) == ((type_a, a) == (type_b, b))


def test_an_identity_is_made_once_and_stays(tmp_path: Path) -> None:
    """The first load makes it, for its owner alone and with nothing left beside it; later ones find it."""
    path = tmp_path / "node" / "key"
    first = Identity.load(path)

    assert Identity.load(path).key == first.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_what_a_crash_left_behind_does_not_block_a_new_identity(tmp_path: Path) -> None:
    """A start that died between writing and naming leaves a file; the next start does not trip over it."""
    for process in range(1, 50):
        (tmp_path / f".key.{process}").write_bytes(b"half")

    assert Identity.load(tmp_path / "key").key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_an_identity_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever has read it can answer in this name; the message says how to mend it."""
    path = tmp_path / "key"
    Identity.load(path)
    path.chmod(mode)

    with pytest.raises(IdentityUnusable, match=f"chmod 600 {path}"):
        Identity.load(path)


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_file_that_holds_no_identity_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is never overwritten: it may be all that is left of one."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(IdentityUnusable, match="holds no identity"):
        Identity.load(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_an_identity_is_named(tmp_path: Path) -> None:
    """No bare OSError reaches whoever starts a node."""
    with pytest.raises(IdentityUnusable, match="cannot be read"):
        Identity.load(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IdentityUnusable, match=r"cannot be (read|kept)"):
        Identity.load(tmp_path / "file" / "key")


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    """Twins that start together end up with one identity, and only one file is there."""
    program = (
        "import sys, pathlib; from bus.signing import Identity; sys.stdin.read(1);"
        "print(Identity.load(pathlib.Path(sys.argv[1])).key)"
    )
    twins = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "key")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    for twin in twins:
        assert twin.stdin is not None
        twin.stdin.write(b"x")
        twin.stdin.flush()
    keys = {twin.communicate(timeout=30)[0] for twin in twins}

    assert keys == {Identity.load(tmp_path / "key").key.encode() + b"\n"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
