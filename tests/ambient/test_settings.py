"""Where settings come from: argument, environment, file, local cluster, default, in this order."""

import json
import os
from pathlib import Path

import pytest

from ambient.settings import default_data, read_cluster_file, resolve
from bus.errors import Malformed


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine that runs the tests leaks in."""
    for variable in ("NATS_URL", "AMBIENT_CLUSTER", "AMBIENT_CLIENT", "AMBIENT_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def test_nothing_set_means_the_local_default() -> None:
    """Without any setting a client looks for the cluster `home` on this machine."""
    settings = resolve()

    assert (settings.nats, settings.cluster) == ("nats://127.0.0.1:4222", "home")
    assert settings.client


def test_each_source_overrides_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is overridden by the environment, that by an argument."""
    Path("ambient.toml").write_text('nats = "nats://file:1"\ncluster = "file"\nclient = "file"\n')
    from_file = resolve()
    monkeypatch.setenv("NATS_URL", "nats://environment:1")
    monkeypatch.setenv("AMBIENT_CLUSTER", "environment")
    from_environment = resolve()
    from_argument = resolve("nats://argument:1", cluster="argument")

    assert (from_file.nats, from_file.cluster, from_file.client) == ("nats://file:1", "file", "file")
    assert (from_environment.nats, from_environment.cluster) == ("nats://environment:1", "environment")
    assert (from_argument.nats, from_argument.cluster) == ("nats://argument:1", "argument")


def test_a_local_cluster_that_runs_is_found() -> None:
    """What `ambient up` wrote is used while its process lives, and not after."""
    data = default_data("home")
    data.mkdir(parents=True)
    (data / "cluster.json").write_text(json.dumps({"nats": "nats://127.0.0.1:9", "supervisor": os.getpid()}))
    alive = resolve().nats
    (data / "cluster.json").write_text(json.dumps({"nats": "nats://127.0.0.1:9", "supervisor": 2**22 + 1}))

    assert alive == "nats://127.0.0.1:9"
    assert read_cluster_file(data) == {}
    assert resolve().nats == "nats://127.0.0.1:4222"


@pytest.mark.parametrize("content", ['natz = "x"', "nats = 4222", "not toml"])
def test_a_bad_file_is_named(content: str) -> None:
    """A typo in a settings file is an error that names the file, never a silent default."""
    Path("ambient.toml").write_text(content)

    with pytest.raises(Malformed, match=r"ambient\.toml"):
        resolve()


def test_a_name_that_is_no_token_is_refused() -> None:
    """Cluster and client become parts of subjects: dots and spaces are refused by field."""
    with pytest.raises(Malformed, match="cluster"):
        resolve(cluster="my.cluster")
    with pytest.raises(Malformed, match="client"):
        resolve(client="a b")
