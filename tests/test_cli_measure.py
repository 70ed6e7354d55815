"""``videostyle measure``: figures of whole films, and of films that do not fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tests.clips import make_clip
from tests.test_flow import texture
from tests.tiny_vgg import tiny_vgg_file
from videostyle import quality
from videostyle.cli import run
from videostyle.errors import UsageError
from videostyle.frame import Image
from videostyle.quality import load_lpips

Captured = pytest.CaptureFixture[str]
FRAMES = 12


def photo(index: int) -> Image:
    return np.repeat(texture(96, 160)[:, 2 * index : 2 * index + 128, None], 3, 2)


def flickering(index: int) -> Image:
    return np.asarray(photo(index) // 2 + 40 * (index % 2), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """film.mkv, and what was painted from it: flicker.mkv, calm.mkv; short.mkv lacks two frames, flat.mkv is wide."""
    folder = tmp_path_factory.mktemp("measure")
    lossless: dict[str, Any] = {"codec": "ffv1", "audio": False, "rate": 25}
    make_clip(folder / "film.mkv", frames=FRAMES, size=(128, 96), image=photo, **lossless)
    make_clip(folder / "flicker.mkv", frames=FRAMES, size=(128, 96), image=flickering, **lossless)
    make_clip(folder / "calm.mkv", frames=FRAMES, size=(128, 96), image=lambda i: photo(i) // 2, **lossless)
    make_clip(folder / "short.mkv", frames=FRAMES - 2, size=(128, 96), image=photo, **lossless)
    make_clip(folder / "flat.mkv", frames=FRAMES, size=(128, 64), **lossless)
    Pillow.fromarray(photo(0)).save(folder / "style.png")
    tiny_vgg_file(folder)
    return folder


@pytest.fixture(autouse=True)
def _offline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of anybody's cache, and none to download."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)


def told(captured: Captured) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(captured.readouterr().out)
    return figures


def test_flicker_shows_and_calm_does_not(capsys: Captured) -> None:
    assert run(["measure", "film.mkv", "flicker.mkv", "--json"]) == 0
    flicker = told(capsys)
    assert run(["measure", "film.mkv", "calm.mkv", "--json"]) == 0
    calm = told(capsys)
    assert (flicker["frames"], flicker["size"]) == (FRAMES, [128, 96])
    assert flicker["warping_error"]["short"] == pytest.approx(40 / 255, rel=0.15)
    assert flicker["excess"]["short"] == pytest.approx(
        flicker["warping_error"]["short"] - flicker["input_warping_error"]["short"]
    )
    assert set(flicker["warping_error"]) == {"short", "long", "first"}
    assert calm["excess"]["short"] < 0.005 < 0.1 < flicker["excess"]["short"]
    assert len(flicker["seconds"]) == len(flicker["errors"]["painting"]) == FRAMES - 1
    assert flicker["seconds"][:2] == pytest.approx([0.04, 0.08])
    assert (flicker["ghosting"], flicker["edge_sharpness"]) == (None, None)


def test_pictures_are_judged_beside(capsys: Captured) -> None:
    pytest.importorskip("torchmetrics")
    options = ["--style-image", "style.png", "--perceptual", "vgg16.safetensors", "--json"]
    assert run(["measure", "film.mkv", "film.mkv", *options]) == 0
    said = capsys.readouterr()
    same = json.loads(said.out)["similarity"]
    assert "note: left out: LPIPS needs torchvision's ImageNet weights" in said.err
    assert same["ssim"] == pytest.approx(1)
    assert same["content"] == 0
    assert run(["measure", "film.mkv", "calm.mkv", *options]) == 0
    other = told(capsys)["similarity"]
    assert other["ssim"] < 0.9
    assert other["content"] > 0.01
    assert other["style"] > same["style"]
    assert set(other) == {"ssim", "style", "content"}


def test_what_smoothing_cost(capsys: Captured) -> None:
    assert run(["measure", "film.mkv", "calm.mkv", "--untreated", "film.mkv", "--json"]) == 0
    figures = told(capsys)
    assert figures["edge_sharpness"] == pytest.approx(0.5, abs=0.05)
    assert figures["ghosting"] > 0.05
    assert set(figures["errors"]) == {"input", "painting", "untreated"}


def test_a_plot(tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "steady.png"
    assert run(["measure", "film.mkv", "flicker.mkv", "--plot", str(picture)]) == 0
    drawn = np.asarray(Pillow.open(picture).convert("RGB"))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10
    assert "warping error to the frame before: 0.1" in capsys.readouterr().err
    assert run(["measure", "film.mkv", "flicker.mkv", "--plot", str(picture)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["film.mkv", "short.mkv"], f"the painting ended after {FRAMES - 2} frames and the rest goes on"),
        (["short.mkv", "film.mkv"], f"the input ended after {FRAMES - 2} frames and the rest goes on"),
        (["film.mkv", "flat.mkv"], "the input is 128x96 and the painting 128x64: not the same film"),
        (["film.mkv", "nothing.mkv"], "nothing.mkv"),
        (["film.mkv", "film.mkv", "--style-image", "style.png", "--perceptual", "none.pth"], "no perceptual weights"),
    ],
)
def test_films_that_cannot_be_compared(arguments: list[str], said: str, capsys: Captured) -> None:
    assert run(["measure", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_lpips_takes_the_weights_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SqueezeNet stands in for AlexNet: 5 MB of random weights instead of 240."""
    pytest.importorskip("torchmetrics")
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    place = tmp_path / "hub" / "checkpoints"
    place.mkdir(parents=True)
    torch.manual_seed(0)
    name = SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    torch.save(squeezenet1_1().state_dict(), place / name)
    distance = load_lpips("squeeze")
    assert distance(photo(0), photo(0)) == 0
    assert distance(photo(0), flickering(0)) > 0.001
    with pytest.raises(UsageError, match="could not be downloaded"):
        load_lpips("alex")


def test_without_torchmetrics_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics.functional.image", None)
    assert run(["measure", "film.mkv", "calm.mkv", "--json"]) == 0
    said = capsys.readouterr()
    assert f"note: left out: SSIM and LPIPS need torchmetrics: {quality.MEASURE_EXTRA}" in said.err
    assert json.loads(said.out)["similarity"] == {}
