"""What is installed is pinned: by version alone, for every extra, on every Python that we support."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
EXTRAS = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}

MACHINES = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": machine,
    }
    for python in ("3.12", "3.13")
    for platform, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


def applies(requirement: Requirement, machine: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(machine)


def test_constraints_hold_exact_versions_and_nothing_else() -> None:
    """No URL, no hash, no option and no host: the file means the same wherever packages come from."""
    text = (ROOT / "constraints.txt").read_text()

    assert "://" not in text
    assert "--" not in text
    assert "@" not in text
    assert all(re.fullmatch(r"==[^=*]+", str(pin.specifier)) for pin in PINS)


@pytest.mark.parametrize(
    "machine", MACHINES, ids=lambda m: "-".join(m[k] for k in ("python_version", "platform_machine"))
)
def test_each_package_has_one_version(machine: dict[str, str]) -> None:
    """On any one machine no package is pinned twice."""
    names = [canonicalize_name(pin.name) for pin in PINS if applies(pin, machine)]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("extra", sorted(EXTRAS), ids=lambda extra: extra or "base")
@pytest.mark.parametrize(
    "machine", MACHINES, ids=lambda m: "-".join(m[k] for k in ("python_version", "platform_machine"))
)
def test_what_an_extra_asks_for_is_pinned_to_a_version_it_accepts(
    extra: str, machine: dict[str, str]
) -> None:
    """Where this fails after a change of dependencies, run `make constraints`."""
    pins = {canonicalize_name(pin.name): pin.specifier for pin in PINS if applies(pin, machine)}
    for text in EXTRAS[extra]:
        wanted = Requirement(text)
        if canonicalize_name(wanted.name) == PROJECT["name"]:
            assert set(wanted.extras) <= set(EXTRAS), f"{wanted} names an extra that does not exist"
        elif applies(wanted, machine):
            version = str(pins[canonicalize_name(wanted.name)]).removeprefix("==")
            assert wanted.specifier.contains(version, prereleases=True), f"{wanted} is pinned to {version}"


def test_a_device_installs_only_what_a_node_needs() -> None:
    """The extra `node` brings the engine, the sensors and the page of metrics: none of the services' or builders' packages."""
    assert {Requirement(text).name for text in EXTRAS["node"]} == {
        "wasmtime",
        "psutil",
        "prometheus-client",
    }
