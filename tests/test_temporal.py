"""Smoothing: what is held, what follows motion, and what must not hang on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.banks import tiny_bank, tiny_transformer_bank
from tests.test_flow import texture
from tests.test_stylizer import Inverting, at
from videostyle.frame import Image
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer
from videostyle.temporal import Smoother

WIDE = np.repeat(np.asarray(np.kron(texture(60, 200), np.ones((4, 4))), np.uint8)[..., None], 3, 2)


def window(shift: int = 0) -> Image:
    """320x240 of a texture, ``shift`` pixels further to the right."""
    return np.ascontiguousarray(WIDE[:, shift : shift + 320])


def flickering(picture: Image, index: int) -> Image:
    return np.asarray(picture // 2 + 30 * (index % 2), np.uint8)


def noisy(picture: Image, index: int) -> Image:
    noise = np.random.default_rng(index).integers(-3, 4, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def apart(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_noise_is_held_and_what_changes_is_not() -> None:
    smoother, photo = Smoother(), window()
    first = smoother.hold(noisy(photo, 0)).photo
    assert np.array_equal(smoother.hold(noisy(photo, 1)).photo, first)
    moved = noisy(photo, 2)
    moved[100:140, 200:240] = 255 - moved[100:140, 200:240]
    held = smoother.hold(moved).photo
    assert np.array_equal(held[100:140, 200:240], moved[100:140, 200:240])
    assert np.array_equal(held[:60], first[:60])


def test_where_the_camera_moves_nothing_is_held_in_part() -> None:
    smoother = Smoother()
    for index in range(4):
        photo = window(8 * index).copy()
        photo[:100] = 128  # of one colour: it seems to stand
        held = smoother.hold(noisy(photo, index)).photo
    assert np.array_equal(held, noisy(photo, 3))


def test_auto_keeps_what_was_painted_from_the_same_photo_and_lets_go_of_what_changes() -> None:
    smoother, photo = Smoother(), window()
    shown = []
    for index in range(12):
        changed = photo.copy()
        changed[80:160, 100:200] = photo[80:160, 110 + 8 * index : 210 + 8 * index]
        shown.append(smoother.blend(flickering(changed, index), smoother.hold(changed)))
    assert apart(shown[-1][:40], shown[-2][:40]) < 3  # of 30
    assert apart(shown[-1][100:140, 120:180], flickering(changed, 11)[100:140, 120:180]) < 3


def test_light_that_changes_slowly_is_followed() -> None:
    smoother, photo = Smoother(), window() // 2
    for index in range(60):
        lit = photo + np.uint8(index)
        held = smoother.hold(lit)
        smoother.blend(held.photo, held)
    assert np.abs(held.photo.astype(int) - lit).max() <= 9


@pytest.mark.parametrize("shift", [0, 6])
def test_flicker_calms_along_the_motion(shift: int) -> None:
    smoother, before = Smoother(0.9), window()
    steps: list[float] = []
    for index in range(10):
        photo = window(shift * index)
        shown = smoother.blend(flickering(photo, index), smoother.hold(photo))
        # Where the windows overlap they show the same, so all that differs is flicker.
        overlap = 320 - shift
        steps.append(apart(shown[:, :overlap], before[:, shift:]))
        before = shown
    assert max(steps[5:]) < 10  # untreated: 30


def test_nothing_hangs_on_behind_a_moving_square() -> None:
    smoother, ground = Smoother(1.0), np.full((240, 320, 3), 90, np.uint8)
    for index in range(8):
        photo = ground.copy()
        photo[90:150, 20 + 30 * index : 80 + 30 * index] = 220
        shown = smoother.blend(255 - photo, smoother.hold(photo))
    assert np.abs(shown[95:145, 20 : 30 * 7 - 40].astype(int) - 165).max() <= 3


def test_a_cut_starts_anew() -> None:
    smoother = Smoother(1.0)
    for photo in (window(), window(), 255 - WIDE[:, ::-1][:, :320]):
        photo = np.ascontiguousarray(photo)
        shown = smoother.blend(photo, smoother.hold(photo))
    assert np.array_equal(shown, 255 - WIDE[:, ::-1][:, :320])


def test_a_new_size_starts_anew() -> None:
    smoother = Smoother(1.0)
    for side in (320, 200):
        photo = np.ascontiguousarray(window()[:, :side])
        held = smoother.hold(photo)
        assert np.array_equal(held.photo, photo)
        assert np.array_equal(smoother.blend(255 - photo, held), 255 - photo)


def test_auto_holds_what_flickers_and_leaves_alone_what_does_not() -> None:
    shares = []
    for share in (0, 30):
        smoother, photo = Smoother(), window()
        shown = []
        for index in range(20):
            painting = np.asarray(photo // 2 + share * (index % 2), np.uint8)
            shown.append(smoother.blend(painting, smoother.hold(photo)))
        shares.append(apart(shown[-1], shown[-2]) / max(1, share))
    assert shares[0] == 0
    assert shares[1] < 0.2


def test_frames_may_be_held_before_those_ahead_of_them_are_blended() -> None:
    one, ahead, photos = Smoother(0.5), Smoother(0.5), [noisy(window(2 * index), index) for index in range(4)]
    in_turn = [one.blend(255 - photo, one.hold(photo)) for photo in photos]
    held = [ahead.hold(photo, anew=index == 2) for index, photo in enumerate(photos)]
    together = [ahead.blend(255 - photo, each) for photo, each in zip(photos, held, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(in_turn[:2], together[:2], strict=True))
    assert np.array_equal(together[2], 255 - photos[2])


def stylizer(smooth: str | float) -> Stylizer:
    return Stylizer(Inverting(), tiny_bank(), parse_mix("rain"), smooth=smooth)


def test_a_stream_is_smoothed_and_off_is_off() -> None:
    photo = window()
    smooth, plain = stylizer(1.0), stylizer("off")
    for index in range(4):
        calm = smooth(at(index / 25, noisy(photo, index))).image
        assert np.array_equal(plain(at(index / 25, noisy(photo, index))).image, 255 - noisy(photo, index))
    assert np.array_equal(calm, 255 - noisy(photo, 0))
    smooth.smooth = "off"
    assert np.array_equal(smooth(at(1, noisy(photo, 9))).image, 255 - noisy(photo, 9))


def test_another_look_owes_the_last_one_nothing() -> None:
    photo = window()
    style = stylizer(1.0)
    for index in range(3):
        style(at(index / 25, photo))
    style.keep_color = True
    assert np.array_equal(style(at(0.2, photo)).image, stylizer("off")(at(0, photo)).image)


def test_a_crossfade_is_not_held_back() -> None:
    """A fade of pictures shows each step in the frame itself."""
    photo = window()
    bank = tiny_transformer_bank()
    style = Stylizer(Inverting(), bank, parse_mix("mosaic"), crossfade=1.0, smooth=1.0)
    for index in range(3):
        style(at(index / 25, photo))
    style.set_strength(0)
    assert np.abs(style(at(0.08 + 0.5, photo)).image.astype(int) - 127).max() <= 2
    assert np.array_equal(style(at(3.0, photo)).image, photo)
    style.set_strength(1)
    style(at(4.5, photo))
    assert np.array_equal(style(at(6.0, photo)).image, 255 - photo)


def test_painting_without_smoothing_brings_no_opencv_flow() -> None:
    program = "import sys, videostyle.stylizer; print('videostyle.temporal' in sys.modules, 'cv2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"


def test_auto_leaves_strokes_alone_where_the_film_moves() -> None:
    def blended(shift: int, strength: float | None) -> float:
        smoother = Smoother(strength)
        for index in range(4):
            painting = flickering(window(shift * index), index)
            shown = smoother.blend(painting, smoother.hold(window(shift * index)))
        return apart(shown[40:-40, 40:-40], painting[40:-40, 40:-40])

    assert blended(0, None) > 3
    assert blended(4, 1.0) > 3
    assert blended(4, None) < 0.5
