"""Frames through the stylizer: what is kept, what is painted, colours, sizes and switching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.banks import tiny_bank, tiny_transformer_bank
from videostyle.errors import StyleError, UsageError
from videostyle.frame import Frame, Image, StreamInfo
from videostyle.styles import StyleBank, parse_mix
from videostyle.stylizer import Stylizer, fit, keep_colors, resize

WEIGHTS = np.array([0.2126, 0.7152, 0.0722])


@dataclass
class Inverting:
    """An engine whose paintings are negatives; remembers what it was asked."""

    name: str = "inverting"
    precision: str = "fp32"
    device: str = "cpu"
    lanes: int = 1
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)

    def __call__(self, images: Image, vector: NDArray[np.float32]) -> Image:
        self.shapes.append(images.shape)
        self.vectors.append(vector)
        return 255 - images

    def close(self) -> None:
        pass


def picture(height: int = 12, width: int = 20, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frame(image: Image) -> Frame:
    return Frame(image, 7, 700, Fraction(1, 1000), 12.5)


def stylizer(bank: StyleBank | None = None, mix: str = "rain", **options: Any) -> tuple[Stylizer, Inverting]:
    engine = Inverting()
    bank = tiny_bank() if bank is None else bank
    return Stylizer(engine, bank, parse_mix(mix), **options), engine


def test_a_frame_keeps_all_but_its_picture() -> None:
    style, engine = stylizer()
    image = picture()
    before = image.copy()
    painted = style(frame(image))
    assert np.array_equal(painted.image, 255 - before)
    assert np.array_equal(image, before)
    assert (painted.index, painted.pts, painted.time_base, painted.captured_at) == (7, 700, Fraction(1, 1000), 12.5)
    assert engine.shapes == [(1, 12, 20, 3)]


@pytest.mark.parametrize("smooth", ["off", "auto", 0.7])
def test_a_stream_in_lanes_is_its_frames_one_by_one(smooth: str | float) -> None:
    frames = [Frame(picture(48, 64, seed=index // 3), index, index, Fraction(1, 25), 0.0) for index in range(9)]
    streams = []
    for lanes in (1, 3):
        style, engine = stylizer(mix="rain", smooth=smooth, crossfade=0.1)
        engine.lanes = lanes

        def steered(style: Stylizer = style) -> Iterator[Frame]:
            for now in frames:
                if now.index == 5:
                    style.set_strength(0.5)
                    style.keep_color = True
                yield now

        streams.append(list(style.stream(steered())))
    style, _ = stylizer(mix="rain", smooth=smooth, crossfade=0.1)
    alone = []
    for now in frames:
        if now.index == 5:
            style.set_strength(0.5)
            style.keep_color = True
        alone.append(style(now))
    for stream in streams:
        assert [painted.index for painted in stream] == list(range(9))
        assert all(np.array_equal(a.image, b.image) for a, b in zip(stream, alone, strict=True))


def test_strength_is_a_way_inside_the_net_where_there_is_an_identity() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, strength=0.25)
    style(frame(picture()))
    style.set_strength(0)
    style(frame(picture()))
    np.testing.assert_allclose(engine.vectors[0], 0.75 * bank.styles[0] + 0.25 * bank.styles[1], atol=1e-6)
    assert np.array_equal(engine.vectors[1], bank.styles[0])


def test_strength_is_a_fade_where_there_is_none() -> None:
    image = picture()
    style, engine = stylizer(tiny_transformer_bank(), "mosaic", strength=0.25)
    expected = 0.75 * image + 0.25 * (255.0 - image)
    assert np.abs(style(frame(image)).image - expected).max() <= 1
    style.set_strength(0)
    assert np.array_equal(style(frame(image)).image, image)
    assert len(engine.shapes) == 1
    style.set_strength(1)
    assert np.array_equal(style(frame(image)).image, 255 - image)


def test_styles_switch_between_frames() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, strength=0.5)
    style(frame(picture()))
    style.set_style(parse_mix("sun"))
    style(frame(picture()))
    assert str(style.mix) == "sun"
    assert style.strength == 0.5
    np.testing.assert_allclose(engine.vectors[1], 0.5 * bank.styles[0] + 0.5 * bank.styles[2], atol=1e-6)


def test_a_switch_that_fails_changes_nothing() -> None:
    style, _ = stylizer()
    with pytest.raises(StyleError, match="no style 'snow'"):
        style.set_style(parse_mix("snow"))
    with pytest.raises(UsageError, match="strength 2 is out of range"):
        style.set_strength(2)
    assert (str(style.mix), style.strength) == ("rain", 1.0)


@pytest.mark.parametrize("options", [{"strength": 1.01}, {"strength": -1}, {"strength": float("nan")}, {"max_side": 1}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        stylizer(**options)


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((1920, 1080), None, (1920, 1080)),
        ((1920, 1080), 1920, (1920, 1080)),
        ((641, 361), 700, (641, 361)),
        ((1920, 1080), 1280, (1280, 720)),
        ((1080, 1920), 1280, (720, 1280)),
        ((1920, 1080), 641, (640, 360)),
        ((1000, 667), 500, (500, 334)),
        ((4000, 3), 400, (400, 2)),
        ((4000, 1), 400, (400, 1)),
        ((3, 3), 2, (2, 2)),
    ],
)
def test_sizes_shrink_in_proportion_to_even_ones(
    size: tuple[int, int], max_side: int | None, expected: tuple[int, int]
) -> None:
    assert fit(*size, max_side) == expected


def test_frames_have_the_size_that_was_announced() -> None:
    style, engine = stylizer(max_side=32)
    info = StreamInfo(70, 51, Fraction(1, 25), Fraction(25), 10)
    told = style.output_info(info)
    assert (told.width, told.height, told.rate, told.frames) == (32, 24, Fraction(25), 10)
    assert style(frame(picture(51, 70))).image.shape == (24, 32, 3)
    assert engine.shapes == [(1, 24, 32, 3)]


def test_resizing_averages() -> None:
    board = np.zeros((60, 80, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = resize(board, (20, 16))
    assert small.shape == (16, 20, 3)
    assert np.abs(small.astype(int) - 127).max() <= 12
    image = picture()
    assert resize(image, (20, 12)) is image


def luma(image: Image) -> NDArray[np.float64]:
    return np.asarray(image @ WEIGHTS)


def test_kept_colours_have_the_paintings_luma() -> None:
    photo, painting = picture(70, 90, 1), picture(70, 90, 2)
    out = keep_colors(photo, painting)
    assert np.abs(luma(out) - luma(painting)).max() <= 2


def test_kept_colours_are_those_of_the_photo_where_they_fit() -> None:
    photo, painting = picture(70, 90, 1), picture(70, 90, 2)
    moved = photo + (luma(painting) - luma(photo))[..., None]
    fits = (moved >= 1).all(-1) & (moved <= 254).all(-1)
    assert 0.1 < fits.mean() < 0.9
    assert np.abs(keep_colors(photo, painting) - moved)[fits].max() <= 1.5


def test_kept_colours_fade_rather_than_change_hue() -> None:
    """Where the photo's colour does not fit the painting's luma, less of it is kept: its differences in proportion."""
    photo = np.array([[[255, 0, 0], [0, 0, 255], [20, 200, 40]]], np.uint8)
    painting = np.array([[[220, 220, 220], [90, 90, 90], [30, 30, 30]]], np.uint8)
    out = keep_colors(photo, painting).astype(float)
    for pixel, source in zip(out[0], photo[0].astype(float), strict=True):
        chroma, wanted = pixel - pixel @ WEIGHTS, source - source @ WEIGHTS
        cosine = chroma @ wanted / np.linalg.norm(chroma) / np.linalg.norm(wanted)
        assert cosine > 0.995
        assert np.linalg.norm(chroma) < np.linalg.norm(wanted)


def test_kept_colours_at_the_corners_of_the_cube() -> None:
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], np.uint8)
    photo, painting = np.repeat(corners, 8, 0).reshape(8, 8, 3), np.tile(corners, (8, 1)).reshape(8, 8, 3)
    out = keep_colors(photo, painting)
    assert np.abs(luma(out) - luma(painting)).max() <= 2
    assert np.array_equal(keep_colors(photo, photo), photo)
    assert np.abs(keep_colors(photo, painting)[0].astype(float) - luma(painting)[0, :, None]).max() <= 1


def test_keep_color_takes_colours_from_the_resized_photo() -> None:
    style, _ = stylizer(keep_color=True, max_side=16)
    image = picture(24, 32)
    small = resize(image, (16, 12))
    assert np.array_equal(style(frame(image)).image, keep_colors(small, 255 - small))


def at(seconds: float, image: Image) -> Frame:
    return Frame(image, 0, round(seconds * 1000), Fraction(1, 1000), 0.0)


def shares(engine: Inverting, bank: StyleBank) -> list[float]:
    """How far each vector that the engine got is on the way from "rain" to "sun"."""
    way = bank.styles[2] - bank.styles[1]
    return [float((vector - bank.styles[1]) @ way / (way @ way)) for vector in engine.vectors]


def test_a_new_style_comes_in_over_time_not_over_frames() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, crossfade=0.3)
    style(at(10.0, picture()))
    style.set_style(parse_mix("sun"))
    for seconds in (10.1, 10.15, 10.25, 10.31, 11.0):
        style(at(seconds, picture()))
    assert shares(engine, bank) == pytest.approx([0, 1 / 3, 0.5, 0.25 / 0.3, 1, 1], abs=0.01)
    assert np.array_equal(engine.vectors[-1], bank.styles[2])


def test_a_switch_on_the_way_starts_from_where_it_is_and_slow_streams_switch_at_once() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, crossfade=0.4)
    style(at(0.0, picture()))
    style.set_style(parse_mix("sun"))
    style(at(0.2, picture()))
    style.set_style(parse_mix("rain"))
    style(at(0.4, picture()))
    style.set_style(parse_mix("sun"))
    style(at(1.0, picture()))
    assert shares(engine, bank) == pytest.approx([0, 0.5, 0.25, 1], abs=0.01)


def test_strength_fades_too_where_it_is_a_fade_of_pictures() -> None:
    image = picture()
    style, _ = stylizer(tiny_transformer_bank(), "mosaic", crossfade=1.0)
    style(at(0.0, image))
    style.set_strength(0)
    half = style(at(0.5, image)).image
    assert np.abs(half - 127.5).max() <= 1
    assert np.array_equal(style(at(2.0, image)).image, image)


def test_a_stream_whose_times_start_again_does_not_stay_between_two_styles() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, crossfade=0.3)
    style(at(50.0, picture()))
    style.set_style(parse_mix("sun"))
    style(at(50.1, picture()))
    style(at(0.0, picture()))
    assert shares(engine, bank)[-1] == pytest.approx(1)


def test_the_net_can_work_on_less_than_comes_out() -> None:
    style, engine = stylizer()
    style.net_scale = 0.5
    image = np.zeros((80, 128, 3), np.uint8)
    image[:, 64:] = 200
    painted = style(frame(image)).image
    assert engine.shapes == [(1, 40, 64, 3)]
    assert painted.shape == image.shape
    assert np.abs(painted[:, :56].astype(int) - 255).max() <= 1
    assert np.abs(painted[:, 72:].astype(int) - 55).max() <= 1
    style.net_scale = 0.01
    assert style(frame(picture(5, 300))).image.shape == (5, 300, 3)
    assert engine.shapes[-1] == (1, 5, 8, 3)


def test_kept_colours_stay_sharp_when_the_net_works_on_less() -> None:
    style, _ = stylizer(keep_color=True)
    style.net_scale = 0.5
    image = np.full((64, 64, 3), (200, 40, 40), np.uint8)
    image[::2] = (40, 40, 200)
    painted = style(frame(image)).image.astype(int)
    assert (painted[1::2, :, 0] > painted[1::2, :, 2] + 40).all()
    assert (painted[::2, :, 2] > painted[::2, :, 0] + 40).all()


def test_a_preview_leaves_the_stream_alone() -> None:
    bank = tiny_bank()
    style, engine = stylizer(bank, strength=0.5)
    style.net_scale = 0.5
    assert np.array_equal(style.preview(picture(), parse_mix("sun")), 255 - picture())
    np.testing.assert_allclose(engine.vectors[0], 0.5 * bank.styles[0] + 0.5 * bank.styles[2], atol=1e-6)
    assert str(style.mix) == "rain"


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_preview_is_as_strong_as_the_stream_where_the_net_cannot_fade(strength: float) -> None:
    bank = tiny_transformer_bank()
    style, _ = stylizer(bank, bank.names[0], strength=strength)
    image = picture()
    assert np.array_equal(style.preview(image, style.mix), style(frame(image)).image)
