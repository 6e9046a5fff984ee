"""Committed modules are what their sources give, byte for byte, wherever they are built."""

import importlib.util
import shutil

import pytest

from examples.guests import build
from examples.guests.recipes import RECIPES, Recipe

needs_ziglang = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None,
    reason=f"the C compiler is not installed: pip install ziglang=={build.ZIGLANG_VERSION}",
)
BY_NAME = {recipe.name: recipe for recipe in RECIPES}
HERE_IN_BYTES = str(build.HERE).encode()


@pytest.fixture
def elsewhere(tmp_path):
    """A copy of all sources in another folder, without the built modules."""
    ignored = shutil.ignore_patterns("*.wasm", "__pycache__")
    return shutil.copytree(build.HERE, tmp_path / "a folder" / "guests", ignore=ignored)


def test_every_committed_module_has_a_recipe_and_every_recipe_a_module():
    """No module without a source, no source forgotten."""
    committed = {recipe.module for recipe in RECIPES if recipe.committed}
    not_committed = {recipe.module for recipe in RECIPES if not recipe.committed}
    found = {str(path.relative_to(build.HERE)) for path in build.HERE.rglob("*.wasm")}

    assert found - not_committed == committed


@needs_ziglang
def test_building_in_another_folder_gives_the_committed_bytes(elsewhere):
    """Nothing of the folder, the time or the machine reaches a module: the first of each language; `make check` builds all."""
    first = {recipe.language: recipe for recipe in reversed(RECIPES) if recipe.committed}
    built = {recipe.module: build.build_guest(recipe, elsewhere) for recipe in first.values()}

    assert [name for name, module in built.items() if module != (build.HERE / name).read_bytes()] == []
    assert [name for name, module in built.items() if HERE_IN_BYTES in module] == []


@needs_ziglang
def test_check_names_what_differs_and_writes_nothing(elsewhere, monkeypatch, capsys):
    """Exit status 1 for a changed source, 0 once it is rebuilt."""
    monkeypatch.setattr(build, "HERE", elsewhere)
    source = elsewhere / "add" / "add.wat"
    source.write_text(source.read_text("utf-8").replace("i32.add", "i32.sub"), "utf-8")

    assert build.main(["add", "--check"]) == 1
    assert "add.wasm differs" in capsys.readouterr().err
    assert not (elsewhere / "add.wasm").exists()

    assert build.main(["add"]) == 0
    assert build.main(["add", "--check"]) == 0


def test_a_source_that_does_not_compile_is_named(tmp_path):
    """The error carries the guest, the file and the compiler's words."""
    (tmp_path / "add").mkdir()
    (tmp_path / "add" / "add.wat").write_text("(module (func", "utf-8")

    with pytest.raises(build.BuildError, match=r"add: correct add/add\.wat"):
        build.build_guest(BY_NAME["add"], tmp_path)


@needs_ziglang
def test_c_that_does_not_compile_is_named(tmp_path):
    """Likewise for the C compiler."""
    (tmp_path / "broken.c").write_text("int main(void) { return missing; }", "utf-8")
    recipe = Recipe(
        name="broken", language="C", sources=("broken.c",), flags=("-c",), entry="", takes="", gives=""
    )

    with pytest.raises(build.BuildError, match="broken: correct the source"):
        build.build_guest(recipe, tmp_path)
