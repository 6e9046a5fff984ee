"""The users of the servers: what `ambient user` writes is what stands there, keys are spelt as NATS spells them, and nothing secret gets out."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambient.cli.app import app
from ambient.errors import UsersUnusable
from ambient.users import Users
from bus import nkeys
from bus.errors import IdentityUnusable, Malformed
from bus.permissions import ROLES, User, configuration, permissions
from bus.signing import Identity
from bus.subjects import Subjects
from tests.documented import documented

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
"""The pair in NATS' documentation of nkeys."""


def test_a_key_is_spelt_as_nats_spells_it() -> None:
    """The example of NATS' own documentation, both halves."""
    seed = nkeys.read_seed(SEED)

    assert nkeys.seed_text(seed) == SEED
    assert nkeys.public(Identity.from_seed(seed).key) == PUBLIC


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 57),
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
)
def test_a_seed_with_a_wrong_letter_is_refused_and_never_told(seed: bytes, at: int, letter: str) -> None:
    """The check sum finds every single letter that is another; the error does not repeat the text."""
    text = nkeys.seed_text(seed)
    assert nkeys.read_seed(text + "\n") == seed
    other = text[:at] + letter + text[at + 1 :]
    if other != text:
        with pytest.raises(Malformed) as refused:
            nkeys.read_seed(other)
        assert text[8:] not in str(refused.value)


def test_a_key_is_taken_from_the_environment_as_text_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed, a file with one, an identity's file; what others may read, or what is none, is refused with what to do."""
    expected = Identity.from_seed(nkeys.read_seed(SEED)).key
    text, raw = tmp_path / "text.nk", tmp_path / "identity"
    text.write_text(SEED + "\n")
    raw.write_bytes(nkeys.read_seed(SEED))
    for path in (text, raw):
        path.chmod(0o600)
    for told in (SEED, str(text), str(raw)):
        monkeypatch.setenv(nkeys.VARIABLE, told)
        found = nkeys.from_environment()
        assert found is not None
        assert found.key == expected
    monkeypatch.setenv(nkeys.VARIABLE, " ")
    assert nkeys.from_environment() is None
    text.chmod(0o644)
    for told, said in (
        (str(text), "chmod 600"),
        (str(tmp_path / "none"), "cannot be read"),
        ("SUA", "NATS_KEY"),
    ):
        monkeypatch.setenv(nkeys.VARIABLE, told)
        with pytest.raises((IdentityUnusable, Malformed), match=said):
            nkeys.from_environment()


def call(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    """The answer of `ambient user … --json`, read as it is documented."""
    app(["user", *words, "--folder", str(folder), "--cluster", "home", "--json"], exit_on_error=False)
    [told] = documented(f"user {words[0]}", capsys.readouterr().out)
    return told


def test_users_come_and_go_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each answer is the documented one; a private half is in a file of its own that nobody else reads, and in no other."""
    added = call(capsys, tmp_path, "add", "client", "me")
    key = Identity.generate().key
    call(capsys, tmp_path, "add", "node", "n1", "--key", key)
    secret = tmp_path / "keys/client-me.nk"
    text = (tmp_path / "users.conf").read_text()

    assert added["secret"] == str(secret)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().strip() not in text
    assert nkeys.public(key) in text
    assert [(row.role, row.name) for row in Users(tmp_path, "home").rows()] == [
        ("node", "n1"),
        ("client", "me"),
    ]
    assert call(capsys, tmp_path, "add", "client", "me") == added
    assert call(capsys, tmp_path, "remove", "client", "me") == {"removed": True}
    assert not secret.exists()
    assert [row["name"] for row in call(capsys, tmp_path, "list")] == ["n1"]


def test_what_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    """Another key for a name, one key for two, another cluster's file, what is no role, name or key."""
    users, key = Users(tmp_path, "home"), Identity.generate().key
    users.add("node", "n1", key)
    with pytest.raises(UsersUnusable, match="ambient user remove node n1"):
        users.add("node", "n1", Identity.generate().key)
    with pytest.raises(UsersUnusable, match="node n1's"):
        users.add("node", "n2", key)
    with pytest.raises(UsersUnusable, match="not of cluster 'away'"):
        Users(tmp_path, "away").rows()
    for role, name, bad, field in (
        ("king", "n", key, "role"),
        ("node", "a b", key, "name"),
        ("node", "n", "xyz", "key"),
    ):
        with pytest.raises(Malformed) as refused:
            users.add(role, name, bad)
        assert refused.value.field == field


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(ROLES), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)), max_size=6
    )
)
def test_nobody_but_an_operator_may_say_all_and_nobody_outside_may_manage_logs(
    people: list[tuple[str, str]],
) -> None:
    """Of any users: no wildcard that takes in another's subject, and for nodes and clients of JetStream only the reading of blobs."""
    subjects = Subjects("home")
    users = [User(role, name, f"{number:064x}") for number, (role, name) in enumerate(people)]  # type: ignore[arg-type]
    text = configuration(users, subjects)
    assert text.count("nkey:") == len(users)
    for user in users:
        may = permissions(user.role, user.name, subjects)
        assert (">" in may.publish) == (user.role == "operator")
        if user.role in ("node", "client"):
            assert not [
                each
                for each in (*may.publish, *may.subscribe)
                if re.search(r"\.(results|telemetry|submit|assign|done|rejected)\.[*>]", each)
            ]
            managed = {each.split("API.")[1].partition(".AVCP")[0] for each in may.publish if "API." in each}
            assert managed <= {"DIRECT.GET", "STREAM.MSG.GET", "STREAM.INFO", "INFO"}
            assert all("BLOBS" in each for each in may.publish if "API.S" in each or "API.D" in each)
