"""``videostyle learn`` and what becomes of its styles, as a person and a program see it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.banks import pictures, tiny_bank
from tests.tiny_vgg import tiny_vgg_file, tiny_weights
from videostyle import learn, library
from videostyle.cli import run
from videostyle.cli.progress import ShareProgress
from videostyle.learned import LearnedStyle
from videostyle.library import Library
from videostyle.pictures import load_picture, save_picture
from videostyle.styles import IDENTITY, StyleBank, StyleCard, parse_mix

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Shipped: a tiny bank, and the clip. Own: nothing yet. Returns the folder of own styles."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    tiny_bank(IDENTITY, "rain", "sun").save(shipped / "bank.safetensors")
    (shipped / "demo.mp4").symlink_to(library.shipped_folder() / "demo.mp4")
    monkeypatch.setattr(library, "shipped_folder", lambda: shipped)
    monkeypatch.setattr("videostyle.cli.learn.shipped_folder", lambda: shipped)
    monkeypatch.setenv("VIDEOSTYLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIDEOSTYLE_PERCEPTUAL", str(tiny_vgg_file(tmp_path)))
    for name, value in {"POOL": 6, "HELD_OUT": 2, "CROP": 64, "CHECK_EVERY": 0.0}.items():
        monkeypatch.setattr(learn, name, value)
    for number, image in enumerate(pictures(2, 64, 96, seed=5)):
        save_picture(tmp_path / f"{'ab'[number]}.png", image)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "home/styles"
    torch.set_num_threads(before)


def learned(folder: Path, *more: str, name: str = "mine") -> int:
    return run(["learn", str(folder / "a.png"), "--name", name, "--steps", "3", "--device", "cpu", *more])


def test_a_style_is_learned_and_painted_with(home: Path, tmp_path: Path, capsys: Captured) -> None:
    assert learned(tmp_path, "--title", "A", "--stroke", "small", "--gentle", "--json") == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["learned"] == "mine"
    assert said["path"] == str(home / "mine.safetensors")
    assert said["steps"] == 3
    assert said["interrupted"] is False
    assert set(said["losses"]) == {"style", "content", "paint"}
    assert load_picture(said["preview"]).shape[1] == 3 * 480
    assert f"starting from {said['start']}" in err
    assert "styles describe mine --rights" in err
    assert [path.name for path in home.iterdir()] == ["mine.safetensors"]
    style = Library().take("mine")
    assert isinstance(style, LearnedStyle)
    assert style.card == StyleCard("mine", "A")
    assert style.recipe["options"] | {"stroke": "small", "gentle": True, "steps": 3} == style.recipe["options"]
    painted = tmp_path / "painted.png"
    assert run(["image", str(tmp_path / "b.png"), str(painted), "--style", "mine", "--device", "cpu"]) == 0
    assert load_picture(painted).shape == (64, 96, 3)


@pytest.mark.parametrize("far", [0.0, 1e9])
def test_what_the_net_cannot_paint_is_said(
    far: float, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "FAR", far)
    assert learned(tmp_path) == 0
    assert ("It is far from the picture" in capsys.readouterr().err) == (far == 0)


def test_help_says_the_defaults(capsys: Captured) -> None:
    assert run(["learn", "--help"]) == 0
    said, defaults = capsys.readouterr().out, learn.LearnOptions()
    for option in (defaults.stroke, f"{defaults.seconds:g}", defaults.steps):
        assert f"[default: {option}]" in said


def test_a_name_is_taken_once(tmp_path: Path, capsys: Captured) -> None:
    assert learned(tmp_path) == 0
    assert learned(tmp_path) == 2
    assert "you have a style 'mine' already: choose another name, or --force" in capsys.readouterr().err
    assert learned(tmp_path, "--force") == 0
    assert learned(tmp_path, name="rain") == 2
    assert "shipped with videostyle" in capsys.readouterr().err


def test_ctrl_c_keeps_the_best_so_far(
    home: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: learn.Learner, tell: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(learn.Learner, "run", interrupt)
    assert learned(tmp_path, "--json") == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["interrupted"] is True
    assert "stopped: the best so far is kept" in err
    assert (home / "mine.safetensors").is_file()


def test_learning_again_on_another_body(home: Path, tmp_path: Path, capsys: Captured) -> None:
    assert learned(tmp_path, "--stroke", "large", "--rights", "CC0") == 0
    bank = tmp_path / "shipped/bank.safetensors"
    tiny_bank(IDENTITY, "rain", "sun", seed=3).save(bank)
    capsys.readouterr()
    assert run(["image", str(tmp_path / "b.png"), str(tmp_path / "out.png"), "--style", "mine"]) == 2
    assert "videostyle learn --again mine" in capsys.readouterr().err
    assert run(["styles", "list", "--json"]) == 0
    usable = {style["name"]: style["usable"] for style in json.loads(capsys.readouterr().out)["styles"]}
    assert usable == {"rain": True, "sun": True, "mine": False}
    (tmp_path / "a.png").unlink()
    assert run(["learn", "--again", "mine", "--steps", "2", "--gentle", "--device", "cpu"]) == 0
    style = Library().take("mine")
    assert isinstance(style, LearnedStyle)
    assert style.body == StyleBank.load(bank).body_hash
    assert style.card == StyleCard("mine", rights="CC0")
    assert (style.recipe["options"]["stroke"], style.recipe["options"]["gentle"]) == ("large", True)
    assert Library().bank(parse_mix("mine")).names == (IDENTITY, "rain", "sun", "mine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the pictures to learn from, and a --name"),
        (["a.png"], "give the pictures to learn from, and a --name"),
        (["a.png", "--name", "No good"], "cannot name a style"),
        (["a.png", "--again", "mine"], "leave PICTURE and --name out"),
        (["--again", "mien"], "There is no style 'mien'"),
        (["--again", "rain"], "was not learned from pictures"),
        (["missing.png", "--name", "mine"], "no such file"),
        (["vgg16.safetensors", "--name", "mine"], "is not a picture"),
        (["a.png", "--name", "mine", "--photos", "nowhere"], "no photos in"),
        (["a.png", "--name", "mine", "--perceptual", "nowhere"], "no perceptual weights at"),
        (["a.png", "--name", "mine", "--preview", "mine.txt"], "pictures are written as"),
        (["a.png", "--name", "mine", "--preview", "a.png"], "a.png exists already"),
        (["a.png", "--name", "identity"], "is the photo itself"),
    ],
)
def test_what_it_refuses(
    home: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["learn", *arguments, "--steps", "1"]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not home.exists()


def test_nothing_is_downloaded_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def download(name: str) -> dict[str, torch.Tensor]:
        asked.append(name)
        return tiny_weights(name)

    def compared_by() -> str:
        style = Library().take("mine")
        assert isinstance(style, LearnedStyle)
        return str(style.recipe["compared_by"])

    monkeypatch.delenv("VIDEOSTYLE_PERCEPTUAL")
    monkeypatch.setattr("videostyle.perceptual._download", download)
    assert learned(tmp_path) == 0
    assert compared_by() == "compact VGG"
    assert not asked
    assert learned(tmp_path, "--perceptual", "vgg16", "--force") == 0
    assert compared_by() == "VGG"
    assert asked == ["vgg16"]


def test_where_there_is_no_terminal_progress_is_lines() -> None:
    stream = io.StringIO()
    with ShareProgress(stream, every=0.0) as bar:
        bar(0.25, 65.4, "step 5, style 0.90")
        bar(1.0, 0.0, "step 20, style 0.70")
    assert stream.getvalue() == "step 5, style 0.90, 1:05 left\nstep 20, style 0.70, 0:00 left\n"


def test_several_pictures(tmp_path: Path) -> None:
    files = [str(tmp_path / f"{name}.png") for name in "ab"]
    assert run(["learn", *files, "--name", "both", "--steps", "1", "--device", "cpu"]) == 0
    style = Library().take("both")
    assert isinstance(style, LearnedStyle)
    assert len(style.pictures) == 2


def test_styles_travel(home: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert learned(tmp_path) == 0
    file = tmp_path / "for-you.safetensors"
    assert run(["styles", "export", "mine", str(file)]) == 0
    assert run(["styles", "export", "mine", str(file)]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["styles", "export", "mine", str(tmp_path / "for-you.png")]) == 2
    vector = Library().bank(parse_mix("mine")).styles[-1]
    monkeypatch.setenv("VIDEOSTYLE_HOME", str(tmp_path / "elsewhere"))
    assert run(["styles", "import", str(file), "--json"]) == 0
    path = tmp_path / "elsewhere/styles/mine.safetensors"
    assert json.loads(capsys.readouterr().out) == {"added": "mine", "path": str(path)}
    assert np.array_equal(Library().bank(parse_mix("mine")).styles[-1], vector)
    assert run(["styles", "import", str(file), "--name", "theirs", "--rights", "CC0"]) == 0
    assert Library().find("theirs").card == StyleCard("theirs", rights="CC0")
    assert run(["styles", "rename", "theirs", "ours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["renamed"] == "ours"
    assert run(["styles", "describe", "ours", "--artist", "Me"]) == 0
    assert Library().find("ours").card == StyleCard("ours", artist="Me", rights="CC0")
    assert run(["styles", "describe", "ours"]) == 2
    assert run(["styles", "rename", "ours", "rain"]) == 2
    assert run(["styles", "remove", "ours"]) == 0
    assert [path.name for path in path.parent.iterdir()] == ["mine.safetensors"]


def test_a_style_for_a_net_that_is_not_here_can_be_imported(tmp_path: Path, capsys: Captured) -> None:
    assert learned(tmp_path) == 0
    assert run(["styles", "export", "mine", str(tmp_path / "mine.safetensors")]) == 0
    tiny_bank(IDENTITY, "rain", seed=3).save(tmp_path / "shipped/bank.safetensors")
    assert run(["styles", "import", str(tmp_path / "mine.safetensors"), "--force"]) == 0
    assert "learned on a net that is not here: videostyle learn --again mine" in capsys.readouterr().err
    assert run(["styles"]) == 0
    assert "--again mine" in "".join(capsys.readouterr().out.split("\n")).replace("  ", " ")
