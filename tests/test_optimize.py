"""Painting by optimisation: the loss, tile by tile; what options do to a painting; the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.banks import pictures, tiny_bank
from tests.tiny_vgg import tiny_vgg_file, tiny_weights
from videostyle.cli import run
from videostyle.errors import EngineError, UsageError
from videostyle.frame import Image
from videostyle.library import HOME_VARIABLE
from videostyle.losses import Features, gram
from videostyle.optimize import Guide, PictureOptimizer, Step, match_colors
from videostyle.optimize_bank import BankNet, nearest
from videostyle.optimize_loss import Anchor, Objective, Style, tiles
from videostyle.optimize_options import PaintOptions, StylePicture, parse_pictures
from videostyle.optimize_search import minimise
from videostyle.perceptual import ENVIRONMENT, PerceptualNet
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import to_tensor
from videostyle.styles import StyleMix

Captured = pytest.CaptureFixture[str]
OPTIONS = PaintOptions(style_weight=3.0, iterations=25, smallest=32, precision="fp32")


def net() -> PerceptualNet:
    return PerceptualNet(tiny_weights(), deepest="relu5_1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photo.png (72x56), two style pictures, left.png and right.png to mask with, weights, and a library."""
    for number, name in enumerate(("photo", "waves", "stones")):
        save_picture(tmp_path / f"{name}.png", pictures(1, 56, 72, seed=number)[0])
    left = np.zeros((56, 72, 3), np.uint8)
    left[:, :36] = 255
    save_picture(tmp_path / "left.png", left)
    save_picture(tmp_path / "right.png", 255 - left)
    (tmp_path / "home" / "styles").mkdir(parents=True)
    tiny_bank().save(tmp_path / "home/styles/tiny.safetensors")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(ENVIRONMENT, str(tiny_vgg_file(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def optimizer(options: PaintOptions = OPTIONS, *names: str, masks: Sequence[Path] = ()) -> PictureOptimizer:
    found = parse_pictures([f"{name}.png" for name in names or ("waves",)], masks)
    return PictureOptimizer(found, options, net(), colors=load_picture("photo.png"))


def distance(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(("height", "width"), [(256, 640), (407, 513), (300, 391)])
@pytest.mark.parametrize("masked", [False, True])
def test_tiles_change_nothing(height: int, width: int, masked: bool) -> None:
    photo, painting, picture = (to_tensor(pictures(1, height, width, seed=i)).contiguous() for i in range(3))
    of = net()
    grams = {name: gram(value) for name, value in of(picture, OPTIONS.style_layers).items()}
    mask = torch.linspace(0, 1, width).expand(1, 1, height, width)
    styles = [Style(grams, 0.7, mask), Style(grams, 0.3)] if masked else [Style(grams)]
    anchor = Anchor(photo, torch.full((1, 1, height, width), 3.0))
    whole = Objective(of, photo, styles, replace(OPTIONS, tile=1024), anchor)
    parts = Objective(of, photo, styles, replace(OPTIONS, tile=256), anchor)
    assert len(tiles(height, width, 256)) > 1
    loss, gradient = whole(painting)
    again, same = parts(painting)
    assert again == pytest.approx(loss, rel=1e-5)
    assert (gradient - same).norm() < 1e-3 * gradient.norm()


def test_the_gradient_is_that_of_the_loss() -> None:
    photo, painting, picture = (to_tensor(pictures(1, 48, 64, seed=i)).contiguous() for i in range(3))
    of = net()
    grams = {name: gram(value) for name, value in of(picture, OPTIONS.style_layers).items()}
    objective = Objective(of, photo, [Style(grams)], OPTIONS, Anchor(photo, torch.ones(1, 1, 48, 64)))
    _, gradient = objective(painting)
    direction = gradient / gradient.norm()
    step = 1e-2
    slope = (objective(painting + step * direction)[0] - objective(painting - step * direction)[0]) / (2 * step)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=0.02)


def test_tiles_cover_a_picture_once() -> None:
    seen = torch.zeros(1, 1, 700, 530)
    for tile in tiles(700, 530, 256):
        tile.share(seen, 1).add_(1)
        part = tile.of(torch.arange(700.0).view(1, 1, -1, 1).expand(1, 1, 700, 530))
        assert torch.equal(tile.inner(part, 1)[0, 0, :, 0], torch.arange(tile.rows.start, tile.rows.stop).float())
    assert (seen == 1).all()


@pytest.mark.parametrize("choice", ["lbfgs", "adam"])
def test_a_painting_comes_near_the_style(folder: Path, choice: str) -> None:
    photo = load_picture("photo.png")
    options = replace(OPTIONS, optimizer=choice, iterations=80)
    paint = optimizer(options)
    painting = paint.paint(photo)
    assert painting.shape == photo.shape
    assert paint.style_distance(painting) < 0.5 * paint.style_distance(photo)


def test_weights_say_what_matters(folder: Path) -> None:
    photo, paint = load_picture("photo.png"), optimizer()
    painting, photo_kept = paint.paint(photo), optimizer(replace(OPTIONS, content_weight=100.0)).paint(photo)
    assert paint.style_distance(painting) < paint.style_distance(photo_kept) < paint.style_distance(photo)
    assert distance(photo_kept, photo) < distance(painting, photo)


def test_strength_is_how_much_of_the_style_is_asked_for(folder: Path) -> None:
    photo = load_picture("photo.png")
    found = [optimizer(replace(OPTIONS, strength=strength)).paint(photo) for strength in (0, 0.3, 1)]
    assert distance(found[0], photo) == 0
    style = [optimizer().style_distance(painting) for painting in found]
    assert style[0] > style[1] > style[2]


def test_noise_is_the_same_noise_each_time(folder: Path) -> None:
    photo = load_picture("photo.png")
    few = replace(OPTIONS, iterations=3, start="noise")
    first = optimizer(few).paint(photo)
    assert np.array_equal(optimizer(few).paint(photo), first)
    assert distance(optimizer(replace(few, seed=1)).paint(photo), first) > 5


def test_small_sizes_come_first_and_large_ones_stop_on_a_plateau(folder: Path) -> None:
    steps: list[Step] = []
    optimizer(replace(OPTIONS, iterations=400, plateau=0.2)).paint(load_picture("photo.png"), told=steps.append)
    assert [step.size for step in steps if step.iteration == 1] == [(36, 28), (72, 56)]
    assert {step.levels for step in steps} == {2}
    last = [step.iteration for step in steps if step.level == 1][-1]
    assert 20 < last < 400
    assert OPTIONS.smallest > 72 // 4


def test_thumbnails_are_compared_by_fewer_layers_and_the_whole_by_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[tuple[int, ...], set[str]] = {}
    forward = PerceptualNet.forward

    def spy(self: PerceptualNet, images: Tensor, layers: Sequence[str]) -> Features:
        asked.setdefault(tuple(images.shape[2:]), set()).update(layers)
        return forward(self, images, layers)

    monkeypatch.setattr(PerceptualNet, "forward", spy)
    photo = np.asarray(pictures(1, 128, 288)[0])
    optimizer(replace(OPTIONS, iterations=1, smallest=64)).paint(photo)
    content, style = set(OPTIONS.content_layers), OPTIONS.style_layers
    assert asked[32, 72] == content | {*style[:3]}
    assert asked[64, 144] == content | {*style[:4]}
    assert asked[128, 288] == content | {*style}
    asked.clear()
    optimizer(replace(OPTIONS, iterations=1, smallest=64)).paint(load_picture("photo.png"))
    assert asked[56, 72] == content | {*style}  # however small the whole is


def test_what_was_kept_goes_on_to_the_same_end(folder: Path) -> None:
    photo, kept = load_picture("photo.png"), folder / "kept.safetensors"
    whole = optimizer().paint(photo)

    def kill(step: Step) -> None:
        if (step.level, step.iteration) == (1, 7):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer().paint(photo, kept=kept, told=kill)
    steps: list[Step] = []
    assert np.array_equal(optimizer().paint(photo, kept=kept, told=steps.append), whole)
    assert {step.level for step in steps} == {1}


def test_a_guide_holds_where_it_is_firm(folder: Path) -> None:
    photo = load_picture("photo.png")
    weight = np.zeros((56, 72), np.float32)
    weight[:, :36] = 1e4
    painting = optimizer().paint(photo, guide=Guide(np.full_like(photo, 128), weight))
    assert distance(painting[:, :30], np.full_like(photo, 128)[:, :30]) < 4
    assert distance(painting[:, 42:], np.full_like(photo, 128)[:, 42:]) > 15


def test_masks_say_where_each_style_is_painted(folder: Path) -> None:
    stripes = np.zeros((56, 72, 3), np.uint8)
    for name, color in (("red", (255, 40, 0)), ("blue", (0, 40, 255))):
        stripes[:, ::2] = color
        save_picture(folder / f"{name}.png", stripes)
    options, photo = replace(OPTIONS, content_weight=0.1, iterations=100), load_picture("photo.png")
    redness = []
    for sides in (["left.png", "right.png"], ["right.png", "left.png"]):
        painting = optimizer(options, "red", "blue", masks=[Path(side) for side in sides]).paint(photo).astype(int)
        redder = painting[8:-8, :, 0] - painting[8:-8, :, 2]
        redness.append((redder[:, 4:28].mean(), redder[:, 44:-4].mean()))
    (left, right), (other_left, other_right) = redness
    assert left > other_left + 40
    assert right < other_right - 40


def test_colours_are_matched_by_mean_and_covariance() -> None:
    picture, colors = pictures(1, 40, 50, seed=1)[0] // 2 + 60, pictures(1, 30, 30, seed=2)[0] // 2 + 60
    matched = match_colors(picture, colors).reshape(-1, 3).astype(float)
    wanted = colors.reshape(-1, 3).astype(float)
    assert np.allclose(matched.mean(0), wanted.mean(0), atol=1)
    assert np.allclose(np.cov(matched.T), np.cov(wanted.T), rtol=0.05, atol=20)
    flat = match_colors(np.full((9, 9, 3), 40, np.uint8), colors)
    assert np.allclose(flat.reshape(-1, 3).mean(0), wanted.mean(0), atol=1)


def test_the_librarys_net_paints_and_learns(folder: Path) -> None:
    bank, photo = tiny_bank(), load_picture("photo.png")
    rain, sun = (BankNet(bank, bank.vector(StyleMix(((name, 1.0),)))) for name in ("rain", "sun"))
    target = sun(photo)
    assert nearest(bank, photo, lambda painting: distance(painting, target)) == "sun"
    before = distance(rain(photo), target)
    rain.tune([(photo, target)], steps=40)
    assert distance(rain(photo), target) < 0.7 * before
    other = BankNet(bank, bank.vector(StyleMix((("rain", 1.0),))))
    other.load_state(rain.state())
    assert np.array_equal(other(photo), rain(photo))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style_weight": -1.0}, "style_weight must not be negative"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"tile": 1000}, "multiple of 16"),
        ({"strength": 1.5}, "strength must be from 0 to 1"),
        ({"optimizer": "sgd"}, "lbfgs, adam"),
        ({"style_layers": ("conv1_1",)}, "'conv1_1' is no layer of VGG"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"precision": "int8"}, "auto, fp32, bf16"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PaintOptions(**options)  # type: ignore[arg-type]


def test_style_pictures_are_parsed(folder: Path) -> None:
    assert parse_pictures(["waves.png:3", "stones.png"]) == (
        StylePicture(Path("waves.png"), 0.75),
        StylePicture(Path("stones.png"), 0.25),
    )
    for names, masks, said in (
        ([], [], "no picture to paint like"),
        (["waves.png", "stones.png"], [Path("left.png")], "2 style pictures and 1 masks"),
        (["none.png"], [], "none.png: there is no such picture"),
        (["waves.png:0"], [], "must be above 0"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_pictures(names, masks)


def test_loss_without_end_is_an_error(folder: Path) -> None:
    with pytest.raises(EngineError, match="no finite number"):
        optimizer(replace(OPTIONS, style_weight=1e38)).paint(load_picture("photo.png"))


def test_a_step_that_goes_astray_is_taken_back(folder: Path) -> None:
    photo = load_picture("photo.png")
    losses: list[Step] = []
    painting = optimizer(replace(OPTIONS, optimizer="adam", rate=1e30)).paint(photo, told=losses.append)
    assert not all(np.isfinite(step.loss) for step in losses)
    assert distance(painting, photo) < 1


def test_it_does_not_go_astray_in_the_same_place_for_ever() -> None:
    """Unit steps overshoot into this valley's walls each time anew: only shorter ones get anywhere."""
    draw = torch.Generator().manual_seed(0)
    goal = torch.rand(1, 3, 16, 24, generator=draw)
    steep = 10 ** (3 * torch.rand(1, 3, 16, 24, generator=draw))

    class Valley(Objective):
        def __init__(self) -> None:
            pass

        def __call__(self, image: Tensor) -> tuple[float, Tensor]:
            leaf = image.detach().requires_grad_()
            loss = (steep * torch.log1p(50 * (leaf - goal).square())).mean()
            return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]

    losses: list[float] = []
    options = replace(OPTIONS, iterations=60, plateau=0.0)
    minimise(Valley(), torch.zeros_like(goal), options, lambda _, loss: losses.append(loss))
    assert min(losses) < losses[0] / 30  # a ninth less without


COMMAND = ["image", "photo.png", "out.png", "--optimize", "--style-image", "waves.png", "--iterations", "5"]


def test_the_command_paints(folder: Path, capsys: Captured) -> None:
    assert run([*COMMAND, "--precision", "fp32", "--device", "cpu", "--smallest", "32", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["engine"], told["precision"], told["device"]) == ("optimisation", "fp32", "cpu")
    assert told["size"] == [72, 56]
    own = replace(OPTIONS, iterations=5, style_weight=PaintOptions().style_weight)
    expected = optimizer(own).paint(load_picture("photo.png"))
    assert np.array_equal(load_picture("out.png"), expected)


def test_the_command_keeps_colours_and_begins_with_the_library(folder: Path, capsys: Captured) -> None:
    assert run([*COMMAND, "--start", "bank", "--keep-color", "--max-side", "64", "--strength", "0.8"]) == 0
    assert "the library's nearest style is" in capsys.readouterr().err
    photo, painted = load_picture("photo.png", max_side=64), load_picture("out.png")
    assert painted.shape == photo.shape
    assert run([*COMMAND, "--style", "sun", "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["image", "photo.png", "out.png", "--style-image", "waves.png"], "need --optimize"),
        (["image", "photo.png", "out.png", "--optimize"], "no picture to paint like"),
        ([*COMMAND, "--smooth", "off"], "--smooth is for painting by a net alone"),
        ([*COMMAND, "--style", "sun", "--start", "noise"], "--style is what --start bank begins with"),
        ([*COMMAND, "--style", "sunflowers"], "sunflowers"),
        ([*COMMAND, "--mask", "missing.png"], "there is no such picture"),
        ([*COMMAND, "--precision", "int8"], "precision must be one of"),
        ([*COMMAND, "--content-layers", "relu9_1"], "no layer of VGG"),
        ([*COMMAND, "--device", "cuda:99"], "no device cuda:99"),
        ([*COMMAND, "--perceptual", "none.pth"], "no perceptual weights at none.pth"),
    ],
)
def test_bad_requests_are_refused_in_one_line(folder: Path, arguments: list[str], said: str, capsys: Captured) -> None:
    assert run(arguments) in (1, 2)
    line = capsys.readouterr().err
    assert line.startswith("videostyle: ")
    assert said in line
    assert line.count("\n") == 1
    assert not Path("out.png").exists()
