"""What ``pip install`` puts on a user's machine: the models come along, and the program finds them there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from videostyle.library import Library, shipped_folder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package as a user gets it, without its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_package_models_and_license(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    models = {f"videostyle/models/{path.relative_to(ROOT / 'models').as_posix()}" for path in models_of_the_checkout()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "videostyle").rglob("*.py")}
    assert models | modules <= names
    assert "videostyle/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def models_of_the_checkout() -> list[Path]:
    """What runs; how it was made and pictures of it stay in the repository."""
    found = [path for of in (".", "perceptual", "scenes") for path in (ROOT / "models" / of).iterdir()]
    return [path for path in found if path.suffix in {".safetensors", ".json", ".mp4", ".jpg"}]


def test_the_checkout_finds_its_own_models() -> None:
    assert shipped_folder() == ROOT / "models"


def test_an_installed_program_finds_the_shipped_styles(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed), "VIDEOSTYLE_HOME": str(tmp_path)}
    program = (
        "from videostyle.library import Library, shipped_folder\n"
        "print(shipped_folder()); print(*[entry.card.name for entry in Library().entries()])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert said[0] == str(installed / "videostyle" / "models")
    assert said[1].split() == [entry.card.name for entry in Library(own=tmp_path).entries()]


def test_an_installed_program_lists_its_styles(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed), "VIDEOSTYLE_HOME": str(tmp_path)}
    (program,) = (installed / "bin").glob("videostyle*")
    said = subprocess.run(
        [sys.executable, str(program), "styles", "list"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for entry in Library(own=tmp_path).entries():
        assert entry.card.name in said
