"""A bill of materials in CycloneDX 1.6 (JSON): what is in an image, with versions and licences, as its own metadata say.

Python packages come from the metadata of a virtual environment, Debian's from dpkg by the files that were copied; each has a package
URL (purl), by which scanners look for known vulnerabilities. The same contents give the same bytes: no time, no random serial number.
"""

import json
import re
import subprocess
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

__all__ = ["bill_of_materials", "document", "python_component"]

_OURS = "ambient-vcp"


def bill_of_materials(venv: Path, image: Path) -> str:
    """The document for the packages of `venv` and the system files below `image`."""
    (site,) = venv.glob("lib/python3*/site-packages")
    return document(distributions(path=[str(site)]), _debian(image))


def document(packages: Iterable[Distribution], more: Iterable[dict[str, Any]] = ()) -> str:
    """The document whose subject is our own distribution; raises `ValueError` where that is not among `packages`."""
    # A checkout that is installed in place is found twice.
    each_once = {component["purl"]: component for component in map(python_component, packages)}
    found = [each_once[purl] for purl in sorted(each_once)]
    subject = next((each for each in found if each["name"] == _OURS), None)
    if subject is None:
        raise ValueError(f"{_OURS} is not installed there")
    components = [each for each in found if each is not subject] + sorted(
        more, key=lambda each: each["bom-ref"]
    )
    contents = {"metadata": {"component": {**subject, "type": "application"}}, "components": components}
    named = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(contents, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{named}", "version": 1}
    return json.dumps(head | contents, indent=1, sort_keys=True) + "\n"


def python_component(package: Distribution) -> dict[str, Any]:
    """One installed Python package."""
    about = package.metadata
    name = re.sub(r"[-_.]+", "-", about["Name"]).lower()
    purl = f"pkg:pypi/{name}@{about['Version']}"
    licence = about.get("License-Expression")
    stated = {"expression": licence} if licence else _named_licence(about.get("License"))
    return {"type": "library", "bom-ref": purl, "name": name, "version": about["Version"], "purl": purl} | (
        {"licenses": [stated]} if stated else {}
    )


def _named_licence(text: str | None) -> dict[str, Any] | None:
    """A licence that is given by its name; some packages put its whole text into the field, which names nothing."""
    line = (text or "").strip()
    return {"license": {"name": line}} if line and "\n" not in line else None


def _debian(image: Path) -> list[dict[str, Any]]:
    """The Debian packages that the files below `image` came from."""
    paths = [
        f"/{path.relative_to(image)}"
        for part in ("usr/bin", "usr/lib", "usr/lib64", "etc")
        if (image / part).is_dir()
        for path in (image / part).rglob("*")
        if path.suffix != ".pyc" and (path.is_symlink() or not path.is_dir())
    ]
    # dpkg knows files by the path that the package was made with, before /usr was merged.
    asked = [*paths, *(path.removeprefix("/usr") for path in paths if path.startswith("/usr/"))]
    told = subprocess.run(
        ["dpkg-query", "--search", "--", *asked], capture_output=True, text=True, check=False
    )
    owners = [
        line.split(": ")[0] for line in told.stdout.splitlines() if not line.startswith("diversion by ")
    ]
    # The bundle of certificates is made when its package is installed, so that dpkg knows no owner of it.
    names = sorted({"ca-certificates", *(name for owner in owners for name in owner.split(", "))})
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\n", *names],
        capture_output=True,
        text=True,
        check=True,
    )
    return [_debian_component(*line.split()) for line in listed.stdout.splitlines()]


def _debian_component(name: str, version: str, architecture: str) -> dict[str, Any]:
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
