"""What is installed is what is here."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_folder_is_installed_under_the_common_name() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"tasks", "sandboxes", "scorers", "evals"}
    found = {path.parent.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("__init__.py")}
    names = {f"sidedoor.{'.'.join(path.parts)}": path.as_posix() for path in found}
    assert setuptools["package-dir"] == {name: path for name, path in names.items() if path in folders}
    assert set(setuptools["packages"]) == set(names)


def test_files_that_are_no_modules_are_installed_too() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package, folder in {"sandboxes": "guest", "evals.report": "templates"}.items():
        assert f"{folder}/*" in data[f"sidedoor.{package}"]
    assert "**/*" in data["sidedoor.tasks"]
