"""compose, systemd and Kubernetes: what they start exists, is confined as is claimed, and is told where to find the rest."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ambient.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
WORST = 1.5
"""The score of `systemd-analyze security` is 1.4 for every unit; 0 is confined to nothing, 10 is not confined."""


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in MANIFESTS:
        if "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def directives(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def ours() -> Iterator[tuple[str, list[str]]]:
    """Every command line of ours that is written down, by where."""
    for name, service in COMPOSE["services"].items():
        if service["image"].startswith("localhost/ambient"):
            yield f"compose {name}", service["command"]
    for name, pod in pods():
        for container in pod["containers"]:
            if container["image"].startswith("localhost/ambient"):
                yield f"kubernetes {name}", container["args"]
    for unit in UNITS:
        (line,) = directives(unit)["ExecStart"]
        yield f"systemd {unit.name}", shlex.split(line)[1:]


def test_every_command_line_is_one_that_the_command_takes() -> None:
    """An option that was renamed, or a value out of range, is found here and not on somebody's machine."""
    lines = dict(ours())
    assert len(lines) == 7 + 5 + 5
    for place, line in lines.items():
        words = [word.replace("$(POD)", "pod-0") for word in line if word != "$AMBIENT_OPTIONS"]
        app.parse_args(words, exit_on_error=False, print_error=False)
        assert line[0] in place


def test_health_checks_name_modules_that_are_there() -> None:
    """Of the images and of Kubernetes alike."""
    text = (DEPLOY / "Containerfile").read_text() + "".join(
        path.read_text() for path in (DEPLOY / "kubernetes").glob("*.yaml")
    )
    modules = set(re.findall(r'-m"?, "?([\w.]+)', text))

    assert modules == {"workers.status", "metrics.probe"}
    for module in modules:
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()


def test_images_are_those_that_are_built_here_or_named_with_a_version() -> None:
    """Of ours each is a target of the Containerfile."""
    targets = set(
        re.findall(r"^FROM scratch AS (\w+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    )
    images = {service["image"] for service in COMPOSE["services"].values()}
    images |= {container["image"] for _, pod in pods() for container in pod["containers"]}

    assert {
        image.removeprefix("localhost/ambient-") for image in images if image.startswith("localhost/")
    } <= targets
    assert targets == {"node", "services", "all"}


def test_what_runs_in_containers_is_confined() -> None:
    """Not root, a read-only root, no capability, no way to get one; each with one folder to write."""
    for name, service in COMPOSE["services"].items():
        if not service["image"].startswith("localhost/"):
            continue
        assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "1000:1000", ["ALL"]), (
            name
        )
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert len(service["volumes"]) == 1
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["livenessProbe"]
            assert container["resources"]["limits"]["memory"]


def test_whoever_is_named_is_there() -> None:
    """Folders that compose mounts, volumes, Prometheus' targets, services that select pods, the servers in NATS_URL."""
    services = COMPOSE["services"]
    volumes = [volume.split(":")[0] for service in services.values() for volume in service["volumes"]]
    for source in volumes:
        if source.startswith("."):
            # The one is written by `ambient user add`, as the head of the file says.
            assert source == "./nats/users.conf" or (DEPLOY / source).exists(), source
        elif not source.startswith("/"):
            assert source in COMPOSE["volumes"], source
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    targets = {target.partition(":")[0] for job in scraped for static in job.get("static_configs", []) for target in static["targets"]}  # fmt: skip
    targets |= {name for job in scraped for dns in job.get("dns_sd_configs", []) for name in dns["names"]}
    assert targets == {
        name for name, service in services.items() if service["image"].startswith("localhost/")
    }
    for service in services.values():
        for host in re.findall(r"nats(?:-route)?://([\w-]+)", str(service.get("environment", ""))):
            assert host in services

    labels = {name: name for name, _ in pods()}
    for document in MANIFESTS:
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            selector = document["spec"]["selector"]
            assert selector.get("matchLabels", selector)["app"] in labels
    for _, pod in pods():
        for url in (v["value"] for c in pod["containers"] for v in c["env"] if v["name"] == "NATS_URL"):
            assert [re.sub(r"-\d+\.", " ", host).split() for host in re.findall(r"nats://([\w.-]+):", url)] == [["nats", "nats"]] * 3  # fmt: skip


def test_kubernetes_runs_the_servers_configuration_word_for_word() -> None:
    """There is one configuration of the servers, which is tried with the real server; the map only carries it."""
    (carried,) = (d["data"]["server.conf"] for d in MANIFESTS if d["kind"] == "ConfigMap")

    assert carried == (DEPLOY / "nats/server.conf").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_hardened_as_the_paper_says(unit: Path) -> None:
    """By systemd's own reckoning; and a node that is refused for good is not started again and again."""
    told = directives(unit)
    assert told["User"] == ["ambient"]
    assert told["Restart"] == ["always"]
    assert "2" in told["RestartPreventExitStatus"][0].split()
    if unit.stem == "ambient-node":
        assert told["RestartPreventExitStatus"] == ["2 3 5 6"]
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    done = subprocess.run(
        [analyze, "security", "--offline=yes", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if score is None:
        pytest.skip(f"this systemd-analyze does not rate files: {done.stderr.strip()}")
    assert float(score[1]) <= WORST


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    """Not a directive that it does not know, not a value that it does not take. Only the program is another: ours is not installed here."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/ambient/bin/ambient", sys.executable))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(here)], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_compose_fits_the_compose_specification() -> None:
    """By the specification's own schema, which knows every key; and the schema would refuse one that does not exist."""
    schema = json.loads((Path(__file__).parent / "schemas/compose-spec.json").read_text())
    check = jsonschema.Draft7Validator(schema)
    misspelt = {**COMPOSE, "services": {"x": {"image": "y", "read-only": True}}}

    assert [f"{error.json_path}: {error.message}" for error in check.iter_errors(COMPOSE)] == []
    assert [error.json_path for error in check.iter_errors(misspelt)] == ["$.services.x"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nonsense", "x"), "unknown option --nonsense"),
        (("--nats",), "--nats wants a value"),
        ((), "say where the bus is"),
    ],
)
def test_the_installer_refuses_what_it_does_not_understand(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    """With a code of 2, in one line, before it has made anything."""
    done = subprocess.run(
        [DEPLOY / "install", *arguments],
        env={**os.environ, "DESTDIR": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, says in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_prometheus_configuration_is_valid() -> None:
    """By promtool's own judgement, where it is here."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine")
    subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml")], check=True, timeout=60, capture_output=True
    )  # fmt: skip
