"""``videostyle image`` from end to end, on a small bank of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.banks import tiny_bank
from videostyle.cli import run
from videostyle.engines import installed_engines
from videostyle.library import HOME_VARIABLE
from videostyle.pictures import load_picture, save_picture
from videostyle.sources.synthetic import test_picture

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photo.png (60x40); the user's own styles are "rain" and "sun"."""
    own = tmp_path / "home" / "styles"
    own.mkdir(parents=True)
    tiny_bank().save(own / "tiny.safetensors")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    save_picture(tmp_path / "photo.png", test_picture(60, 40, 0))
    return tmp_path


def test_a_picture_is_painted(folder: Path, capsys: Captured) -> None:
    out = folder / "out.png"
    assert run(["image", str(folder / "photo.png"), str(out), "--style", "rain", "--device", "cpu", "--json"]) == 0
    said = capsys.readouterr()
    painted = load_picture(out)
    assert painted.shape == (40, 60, 3)
    assert np.abs(painted.astype(int) - load_picture(folder / "photo.png")).mean() > 5
    told = json.loads(said.out)
    assert (told["frames_in"], told["frames_out"], told["size"], told["output"]) == (1, 1, [60, 40], str(out))
    assert told["engine"] in installed_engines()
    assert told["device"] == "cpu"
    assert said.err.splitlines()[-1].startswith(f"{out}: 60x40 in ")


def test_a_mix_at_another_size(folder: Path) -> None:
    out = folder / "out.jpg"
    mix = ["--style", "rain:0.7,sun:0.3", "--strength", "0.5", "--keep-color", "--max-side", "30"]
    assert run(["image", str(folder / "photo.png"), str(out), *mix]) == 0
    assert load_picture(out).shape == (20, 30, 3)


def test_a_style_file_that_is_none_is_passed_over_aloud(folder: Path, capsys: Captured) -> None:
    (folder / "home/styles/broken.safetensors").write_bytes(b"no tensors")
    assert run(["image", str(folder / "photo.png"), str(folder / "out.png"), "--style", "rain"]) == 0
    assert "note: Passed over a style file: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photo.png", "photo.png", "--force"], "is the input itself"),
        (["photo.png", "there.png"], "exists already"),
        (["photo.png", "out.xyz"], "pictures are written as"),
        (["photo.png", "out.png", "--style", "sunflowers"], "sunflowers"),
        (["photo.png", "out.png", "--style", "rain:1,sun"], "weighs some styles and not others"),
        (["missing.png", "out.png", "--style", "rain"], "there is no such file"),
        (["there.png", "out.png", "--style", "rain"], "there.png is empty"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    folder: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (folder / "there.png").touch()
    monkeypatch.chdir(folder)
    assert run(["image", *arguments]) == 2
    line = capsys.readouterr().err
    assert line.startswith("videostyle: ")
    assert said in line
    assert line.count("\n") == 1
    assert not (folder / "out.png").exists()
