"""Setting up on a fresh machine: a Python is found by running candidates, never by their names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(getattr(sys, "_base_executable", sys.executable))
"""The interpreter itself, outside any virtual environment: what the finder must name."""

BROKEN_SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"

TOO_OLD = f"""#!/bin/sh
exec '{BASE}' -c 'import sys; sys.version_info = (3, 11, 7); exec(sys.argv[1])' "$2"
"""

WITHOUT_VENV = f"""#!/bin/sh
exec '{BASE}' -c 'import sys; sys.modules["ensurepip"] = None; exec(sys.argv[1])' "$2"
"""

WORKS = f"#!/bin/sh\nexec '{BASE}' \"$@\"\n"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A machine that has only what a test gives it: one folder on PATH, a home, pyenv's versions."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.bin.mkdir()
        self.home.mkdir()

    def run(
        self, command: list[str | Path], cwd: Path, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that sees nothing of the machine the tests run on."""
        given = {"PATH": str(self.bin), "HOME": str(self.home), **env}
        return subprocess.run(
            command, env=given, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
        )

    def find(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the finder."""
        return self.run(["/bin/sh", ROOT / "tools/find-python"], ROOT, env)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def found(answer: subprocess.CompletedProcess[str]) -> Path:
    assert answer.returncode == 0, answer.stderr
    return Path(answer.stdout.rstrip("\n")).resolve()


@pytest.mark.parametrize(
    "unfit", [BROKEN_SHIM, TOO_OLD, WITHOUT_VENV], ids=["broken shim", "too old", "no venv"]
)
def test_a_candidate_that_does_not_answer_is_passed_over(machine: Machine, unfit: str) -> None:
    """Whatever is wrong with the first candidate on PATH, the next one that works is taken, without noise."""
    script(machine.bin / "python3.13", unfit)
    script(machine.bin / "python3", WORKS)

    answer = machine.find()

    assert BASE.resolve() == found(answer)
    assert answer.stderr == ""


def test_pyenvs_versions_are_found_though_no_shim_answers(machine: Machine) -> None:
    """An interpreter that pyenv holds is used even if it is not the selected one."""
    script(machine.bin / "python3.13", BROKEN_SHIM)
    script(machine.home / ".pyenv/versions/3.11.7/bin/python3", TOO_OLD)
    script(machine.home / ".pyenv/versions/3.12.1/bin/python3", WORKS)

    assert BASE.resolve() == found(machine.find())


def test_uv_is_asked_last(machine: Machine) -> None:
    """Where only uv holds an interpreter, that one is used."""
    python = script(machine.home / "uv/python3", WORKS)
    script(machine.bin / "uv", f"#!/bin/sh\n[ \"$1 $2\" = 'python find' ] && echo '{python}'\n")

    assert BASE.resolve() == found(machine.find())


def test_the_callers_choice_comes_first(machine: Machine) -> None:
    """PYTHON wins over PATH."""
    script(machine.bin / "python3.13", "#!/bin/sh\necho /wrong/python3\n")
    chosen = script(machine.home / "mine", WORKS)

    assert BASE.resolve() == found(machine.find(PYTHON=str(chosen)))


def test_an_unfit_choice_is_named_before_another_is_taken(machine: Machine) -> None:
    """A PYTHON that does not work is not passed over silently."""
    script(machine.bin / "python3", WORKS)

    answer = machine.find(PYTHON="/nowhere/python3")

    assert BASE.resolve() == found(answer)
    assert "PYTHON=/nowhere/python3" in answer.stderr


def test_without_any_python_one_line_says_what_to_install(machine: Machine) -> None:
    """The person reads one line, and it can be acted on."""
    script(machine.bin / "python3", TOO_OLD)

    answer = machine.find()

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1
    assert "install" in answer.stderr


def make() -> str:
    """The path of make, which a machine of a test does not have on its PATH."""
    path = shutil.which("make")
    assert path is not None, "install make: the project is set up with it"
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The set-up's own files, with an installer that only writes down what it was asked for."""
    folder = tmp_path / "checkout"
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/find-python"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    script(folder / "tools/install", '#!/bin/sh\necho "$1" >> installed\n')
    return folder


def set_up(folder: Path, *targets: str) -> list[str]:
    """Run make; what the installer was asked for since the checkout was made."""
    path = f"{folder / '.venv/bin'}:{os.defpath}"
    subprocess.run(
        [make(), *targets], cwd=folder, env={"PATH": path}, timeout=60, check=True, capture_output=True
    )
    return (folder / "installed").read_text().split()


def test_make_says_it_too_and_stops(machine: Machine, checkout: Path) -> None:
    """Without a Python, `make setup` fails with that line and installs nothing."""
    answer = machine.run([make(), "setup"], checkout, {})

    assert answer.returncode != 0
    assert "No Python >= 3.12" in answer.stderr
    assert not (checkout / "installed").exists()


def test_setting_up_twice_installs_once(checkout: Path) -> None:
    """The second call does nothing until a pin changes; the demo needs nothing that setup has not installed."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(BASE)
    script(checkout / ".venv/bin/ambient", "#!/bin/sh\n")

    assert set_up(checkout, "setup") == ["all,dev"]
    assert set_up(checkout, "setup") == ["all,dev"]
    assert set_up(checkout, "demo") == ["all,dev"]

    stamp = (checkout / ".venv/bin/.dev").stat().st_mtime
    os.utime(checkout / "constraints.txt", (stamp + 1, stamp + 1))

    assert set_up(checkout, "setup")[:2] == ["all,dev", "all,dev"]


def test_the_demo_alone_installs_no_compilers(checkout: Path) -> None:
    """Who only wants to see it run does not fetch what checking and building need."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(BASE)
    script(checkout / ".venv/bin/ambient", "#!/bin/sh\n")

    assert set_up(checkout, "demo") == ["all"]
