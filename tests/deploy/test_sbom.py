"""The bill of materials: valid, complete, and the same for the same contents."""

import importlib.util
import json
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """The script, which no package holds: an image is assembled by it before anything is installed."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "deploy/sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Written(Distribution):
    """A package with the metadata that a test gives it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        """The metadata; packages here have no other file."""
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        """Nowhere."""
        return Path(str(path))


def package(name: str, *lines: str, version: str = "1.0") -> Written:
    return Written("\n".join((f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}", *lines, "", "")))


OURS = package("ambient-vcp", "License-Expression: MIT")


def test_everything_that_is_installed_is_listed_once_with_its_version(sbom: ModuleType) -> None:
    """Of the environment that runs this test: no package is missing, none is there twice, ours is the subject."""
    installed = list(distributions())
    document = json.loads(sbom.document(installed))
    listed = {component["purl"] for component in document["components"]}
    subject = document["metadata"]["component"]

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert (subject["name"], subject["type"]) == ("ambient-vcp", "application")
    assert len(listed) == len(document["components"])
    wanted = {sbom.python_component(each)["purl"] for each in installed}
    assert listed | {subject["purl"]} == wanted
    assert "pkg:pypi/nats-py@2.16.0" in listed


def test_names_are_those_of_package_urls(sbom: ModuleType) -> None:
    """Scanners look for `ruamel-yaml`, however the package writes itself (PEP 503)."""
    assert sbom.python_component(package("Ruamel.YAML_x"))["purl"] == "pkg:pypi/ruamel-yaml-x@1.0"


@pytest.mark.parametrize(
    ("lines", "licences"),
    [
        (("License-Expression: Apache-2.0 OR MIT",), [{"expression": "Apache-2.0 OR MIT"}]),
        (("License: BSD",), [{"license": {"name": "BSD"}}]),
        (("License: Copyright\n        All rights are described below",), None),
        ((), None),
    ],
)
def test_a_licence_is_stated_only_where_it_is_named(
    sbom: ModuleType, lines: tuple[str, ...], licences: object
) -> None:
    """A whole text in the field names no licence, and nothing is guessed."""
    assert sbom.python_component(package("x", *lines)).get("licenses") == licences


def test_the_same_contents_give_the_same_bytes_whatever_their_order(sbom: ModuleType) -> None:
    """Two builds can be compared; another version is another document with another serial number."""
    one, two = package("one"), package("two")
    first = sbom.document([one, OURS, two])

    assert first == sbom.document([two, one, OURS])
    other = sbom.document([one, OURS, package("two", version="1.1")])
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]


def test_an_environment_without_us_is_no_subject(sbom: ModuleType) -> None:
    """A bill of the wrong environment is refused rather than written."""
    with pytest.raises(ValueError, match="ambient-vcp is not installed"):
        sbom.document([package("one")])
