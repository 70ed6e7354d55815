"""The bank that comes with videostyle: what a user sees first must be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videostyle.engines import load_engine
from videostyle.frame import Image
from videostyle.library import Library, shipped_folder
from videostyle.pictures import load_picture
from videostyle.quality import covered
from videostyle.sources import open_source
from videostyle.styles import IDENTITY, StyleBank, parse_mix

DRAWN = {"tesserae", "watercolour", "blue-chalk"}
"""Pictures that this project drew."""


@pytest.fixture(scope="module")
def bank() -> StyleBank:
    return Library().bank(parse_mix("starry-night"))


@pytest.fixture(scope="module")
def photo() -> Image:
    source = open_source(shipped_folder() / "demo.mp4")
    frame = next(iter(source))
    source.close()
    return frame.image


@pytest.fixture(scope="module")
def paintings(bank: StyleBank, photo: Image) -> dict[str, Image]:
    engine = load_engine(bank, precision="fp32", device="cpu")
    return {name: engine(photo[None], row)[0] for name, row in zip(bank.names, bank.styles, strict=True)}


def test_it_has_the_promised_styles_and_size(bank: StyleBank) -> None:
    assert bank.names[0] == IDENTITY
    assert {"starry-night", "great-wave"} < set(bank.names)
    assert len(bank.names) >= 21
    assert sum(path.stat().st_size for path in shipped_folder().glob("*.safetensors")) < 8_000_000


def test_every_card_says_where_a_style_comes_from_and_how_good_it_is(bank: StyleBank) -> None:
    for card in bank.cards[1:]:
        assert card.title
        assert card.artist
        assert card.year
        assert card.rights == ("MIT" if card.name in DRAWN else "public domain")
        assert 0 < card.quality["style"] <= 1.4
        assert 0 < card.quality["content"] < 2.5
    mean = {key: np.mean([card.quality[key] for card in bank.cards[1:]]) for key in ("style", "content")}
    assert mean["style"] <= 0.7
    assert mean["content"] <= 1.4
    assert set(bank.recipe) >= {"data", "options", "steps"}


def test_the_identity_gives_the_photo_back(photo: Image, paintings: dict[str, Image]) -> None:
    assert np.abs(photo.astype(int) - paintings[IDENTITY]).mean() / 255 < 0.05


def test_styles_differ_from_the_photo_and_from_each_other(photo: Image, paintings: dict[str, Image]) -> None:
    seen = {"photo": photo, **{name: image for name, image in paintings.items() if name != IDENTITY}}
    names = list(seen)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.abs(seen[one].astype(int) - seen[other]).mean() > 10, (one, other)


def test_no_border(paintings: dict[str, Image]) -> None:
    """The outermost rows and columns are as bright as their neighbours, over all styles together."""
    mean = np.mean([image.astype(float).mean(2) for image in paintings.values()], 0)
    for turned in (mean, mean[::-1], mean.T, mean.T[::-1]):
        assert abs(turned[:4].mean() - turned[4:12].mean()) < 6


def test_no_grid(paintings: dict[str, Image]) -> None:
    """Steps between neighbours are alike at all four positions within the squares that the net works on."""
    for axis in (0, 1):
        steps = np.mean([np.abs(np.diff(image.astype(float), axis=axis)).mean(2) for image in paintings.values()], 0)
        phases = [np.take(steps, range(i, steps.shape[axis] - 4, 4), axis).mean() for i in range(4)]
        assert max(phases) / min(phases) < 1.6


def test_no_lattice(paintings: dict[str, Image]) -> None:
    """What all the 4x4 squares that the net works on have in common: a lattice would show on flat parts."""
    shares = {}
    for name, image in paintings.items():
        grey = image.astype(float).mean(2)
        height, width = (side // 4 * 4 for side in grey.shape)
        squares = grey[:height, :width].reshape(height // 4, 4, width // 4, 4)
        pattern = (squares - squares.mean((1, 3), keepdims=True)).mean((0, 2))
        shares[name] = float(pattern.std() / grey.std())
    assert np.mean(list(shares.values())) < 0.04, shares
    assert max(shares.values()) < 0.12, shares  # a woodcut's level lines fall into step with the squares


def test_real_photos_keep_their_structure(bank: StyleBank, shared: Path) -> None:
    """Edges of the photo are edges of the painting."""
    photo = covered(load_picture(shared / "photos/research/coco_0017.jpg"), 320, 180)
    engine = load_engine(bank, precision="fp32", device="cpu")

    def edges(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        grey = image.astype(float).mean(2)
        grey = grey[: len(grey) // 4 * 4].reshape(len(grey) // 4, 4, -1, 4).mean((1, 3))
        steps: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.hypot(
            np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:]
        )
        return steps.ravel()

    for row in bank.styles[1:]:
        assert np.corrcoef(edges(photo), edges(engine(photo[None], row)[0]))[0, 1] > 0.3
