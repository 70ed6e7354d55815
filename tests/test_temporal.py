"""Smoothing: what is held, what follows motion, and what must not hang on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.banks import tiny_bank, tiny_transformer_bank
from tests.test_flow import texture
from tests.test_stylizer import Inverting, at
from videostyle import temporal
from videostyle.dense_search import WIDEST
from videostyle.frame import Image
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer
from videostyle.temporal import Smoother

WIDE = np.repeat(np.asarray(np.kron(texture(60, 200), np.ones((4, 4))), np.uint8)[..., None], 3, 2)


def window(shift: int = 0) -> Image:
    """320x240 of a texture, ``shift`` pixels further to the right."""
    return np.ascontiguousarray(WIDE[:, shift : shift + 320])


def twice(picture: Image) -> Image:
    """640x480, in which motion is looked for at 320x240."""
    return picture.repeat(2, 0).repeat(2, 1)


def flickering(picture: Image, index: int) -> Image:
    return np.asarray(picture // 2 + 30 * (index % 2), np.uint8)


def noisy(picture: Image, index: int) -> Image:
    noise = np.random.default_rng(index).integers(-3, 4, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def apart(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def steadied(smoother: Smoother, photo: Image, painting: Image) -> Image:
    return smoother.blend(painting, smoother.follow(smoother.see(photo)))


def test_where_the_film_rests_noise_is_held_and_what_changes_is_not() -> None:
    smoother, photo, shown = Smoother(), window(), list[Image]()
    for index in range(20):
        changed = noisy(photo, index)
        changed[80:160, 100:200] = photo[80:160, 110 + 5 * index : 210 + 5 * index]
        shown.append(steadied(smoother, changed, flickering(changed, index)))
    assert apart(shown[-1][:40], shown[-2][:40]) < 2  # of 30
    assert apart(shown[-1][:40], shown[4][:40]) < 8  # nor does it drift away
    inside = shown[-1][100:140, 120:180]
    assert apart(inside, flickering(changed, 19)[100:140, 120:180]) < 30  # moving strokes, not those of the ground
    assert apart(inside, flickering(photo, 19)[100:140, 120:180]) > 30


def test_where_the_film_rests_one_painting_stays_and_is_no_average_of_many() -> None:
    """Strokes of many paintings laid over each other are none."""
    smoother, rng = Smoother(), np.random.default_rng(0)
    paintings = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(60)]
    for index, painting in enumerate(paintings):
        photo = noisy(window(), index)
        if index >= 20:  # something is put down, once
            photo[80:160, 100:200] = 255 - photo[80:160, 100:200]
        shown = steadied(smoother, photo, painting)
    for part in (np.s_[:40], np.s_[100:140, 120:180]):
        assert min(apart(shown[part], painting[part]) for painting in paintings) < 1  # an average of two: 21 and more


def test_what_barely_changes_comes_by_and_by() -> None:
    smoother, ground = Smoother(), twice(window() // 4 + 60)
    for index in range(100):
        photo = ground.copy()
        if index >= 20:
            photo[100:200, 200:320] += 6
        shown = steadied(smoother, noisy(photo, index), photo)
    assert apart(shown[120:180, 220:300], photo[120:180, 220:300]) < 3


def test_what_is_put_down_before_a_shaken_camera_comes_to_rest() -> None:
    """Neither it nor anything else is painted anew, again and again, while the camera is off its place."""
    smoother, wide = Smoother(), np.asarray(cv2.GaussianBlur(WIDE, (0, 0), 3), np.uint8)
    rng, shown = np.random.default_rng(1), window()
    for index in range(64):
        before, photo = shown, wide.copy()
        if index >= 44:
            photo[60:140, 140:240] = 255 - photo[60:140, 140:240]
        shift = np.array([[1, 0, -20 + 0.5 * (index >= 40)], [0, 1, 0]], np.float32)
        lies = np.asarray(cv2.warpAffine(photo, shift, (320, 240), flags=cv2.INTER_CUBIC), np.uint8)
        shown = steadied(smoother, twice(lies), rng.integers(0, 255, (480, 640, 3), np.uint8))
    assert apart(shown[40:-40, 40:-40], before[40:-40, 40:-40]) < 1


def test_a_flow_that_draws_strokes_together_is_not_trusted() -> None:
    """On a wall any flow finds the same grey: nothing but its own shape tells that it is wrong."""
    smoother, strokes = Smoother(), twice(window())
    walls = [np.full((480, 640, 3), 128 + 10 * (index % 2), np.uint8) for index in range(7)]  # light flickers: no rest
    y, x = np.mgrid[-120:120, -160:160].astype(np.float32)
    inwards = np.stack([x, y], -1) * 0.12 * np.exp(-(x * x + y * y) / 3200)[..., None]
    steadied(smoother, walls[0], strokes)
    for wall in walls[1:]:
        seen = replace(smoother.see(wall), flow=inwards, there=np.ones((240, 320), np.float32))
        shown = smoother.blend(strokes, seen)
    assert apart(shown[180:300, 260:380], strokes[180:300, 260:380]) < 22  # of 31 where it is


def test_light_that_changes_slowly_is_followed() -> None:
    smoother, photo = Smoother(), window() // 2
    for index in range(90):
        lit = photo + np.uint8(index)
        shown = steadied(smoother, lit, lit)
    assert np.abs(shown.astype(int) - lit).mean() <= 20


@pytest.mark.parametrize("shift", [0, 6])
def test_flicker_calms_along_the_motion(shift: int) -> None:
    smoother, before = Smoother(0.9), window()
    steps: list[float] = []
    for index in range(10):
        photo = window(shift * index)
        shown = steadied(smoother, photo, flickering(photo, index))
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
        shown = steadied(smoother, photo, 255 - photo)
    assert np.abs(shown[95:145, 20 : 30 * 7 - 40].astype(int) - 165).max() <= 3


def test_what_comes_in_at_the_edge_is_not_a_smear_of_it() -> None:
    smoother = Smoother()
    for index in range(7):
        photo = np.ascontiguousarray(WIDE[:, 6 * index : 6 * index + 320] // 8 + 100)  # nowhere unlike what it was
        shown = steadied(smoother, photo, window(6 * index))
    # 18 pixels came in since the last frame but two; streaks would be of one colour from there to the edge.
    painted = window(36)[20:-20, 302:318].astype(int)
    streaks = np.abs(np.diff(shown[20:-20, 302:318].astype(int), axis=1)).mean()
    assert streaks > 0.5 * np.abs(np.diff(painted, axis=1)).mean()


def test_motion_is_looked_for_only_around_what_changes() -> None:
    smoother = Smoother()
    for index in range(20):
        photo = noisy(window(), index)
        photo[80:160, 100:200] = window(110 + 3 * index)[80:160, :100]
        flow = smoother.follow(smoother.see(twice(photo))).flow
    assert flow is not None
    around = flow.copy()
    around[60:180, 80:220] = 0
    assert not around.any()
    assert flow[100:140, 120:180, 0].mean() == pytest.approx(3, abs=0.3)


def test_what_moves_has_no_seam_around_it() -> None:
    smoother = Smoother()
    for index in range(14):
        photo = np.asarray(cv2.resize(window(), (640, 480)), np.uint8)
        photo[160:320, 200:400] = photo[160:320, 220 + 6 * index : 420 + 6 * index]
        shown = steadied(smoother, photo, photo)
    off = np.abs(shown.astype(int) - photo).max(-1)
    off[142:338, 182:418] = 0  # strokes there are sharpened
    assert off.max() <= 1


def test_a_camera_that_creeps_is_not_taken_for_one_that_stands() -> None:
    smoother = Smoother()
    for index in range(30):
        shift = np.array([[1, 0, -0.1 * index], [0, 1, 0]], np.float32)
        photo = np.asarray(cv2.warpAffine(WIDE, shift, (320, 240), flags=cv2.INTER_CUBIC), np.uint8)
        flow = smoother.follow(smoother.see(noisy(photo, index))).flow
    assert flow is not None
    assert np.median(flow[..., 0]) == pytest.approx(0.1, abs=0.05)


def test_a_cut_starts_anew() -> None:
    smoother = Smoother(1.0)
    for photo in (window(), window(), 255 - WIDE[:, ::-1][:, :320]):
        photo = np.ascontiguousarray(photo)
        shown = steadied(smoother, photo, photo)
    assert np.array_equal(shown, 255 - WIDE[:, ::-1][:, :320])


def test_a_new_size_starts_anew() -> None:
    smoother = Smoother(1.0)
    for side in (320, 200):
        photo = np.ascontiguousarray(window()[:, :side])
        assert np.array_equal(steadied(smoother, photo, 255 - photo), 255 - photo)


@pytest.mark.parametrize("lost", [1, 2])
def test_after_a_frame_that_was_never_painted_it_starts_anew(lost: int) -> None:
    """As where an engine fails at a new size, at which motion is looked for in pictures as small as before."""
    smoother, small = Smoother(), np.ascontiguousarray(WIDE[:180, :320])
    for index in range(3):
        steadied(smoother, small.repeat(2, 0).repeat(2, 1), flickering(small.repeat(2, 0).repeat(2, 1), index))
    large = small.repeat(4, 0).repeat(4, 1)
    for _ in range(lost):
        smoother.see(large)
    assert apart(steadied(smoother, large, flickering(large, 1)), flickering(large, 1)) == 0
    assert apart(steadied(smoother, noisy(large, 1), flickering(large, 2)), flickering(large, 1)) < 5


def test_after_a_frame_that_could_not_be_put_together_it_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    smoother = Smoother()
    for index in range(3):
        steadied(smoother, window(4 * index), flickering(window(4 * index), index))
    with monkeypatch.context() as patch:
        patch.setattr(smoother._canvas, "compose", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            steadied(smoother, window(12), flickering(window(12), 1))
    assert apart(steadied(smoother, window(16), flickering(window(16), 0)), flickering(window(16), 0)) == 0


def test_what_does_not_flicker_is_left_alone() -> None:
    smoother, photo = Smoother(), window()
    for _ in range(20):
        shown = steadied(smoother, photo, 255 - photo)
    assert np.array_equal(shown, 255 - photo)


def test_a_pause_stands_still_wherever_the_fade_was() -> None:
    smoother = Smoother()
    for index in range(11):
        photo = window(3 * index)
        shown = steadied(smoother, photo, flickering(photo, index))
    assert all(np.array_equal(steadied(smoother, photo, flickering(photo, index)), shown) for index in range(20))


def test_less_strength_holds_less() -> None:
    def flicker(strength: float) -> float:
        smoother, photo = Smoother(strength), window()
        shown = [steadied(smoother, photo, flickering(photo, index)) for index in range(20)]
        return apart(shown[-1], shown[-2])

    assert flicker(0.0) == pytest.approx(30, abs=0.5)
    assert flicker(1.0) < flicker(0.5) < flicker(0.0)


def test_moved_strokes_stay_as_sharp_as_they_were_painted() -> None:
    smoother, wide = Smoother(), cv2.GaussianBlur(WIDE, (0, 0), 1.5)
    shown_slopes, slopes = list[float](), list[float]()
    for index in range(24):
        shift = np.array([[1, 0, -1.3 * index], [0, 1, 0]], np.float32)  # between pixels
        photo = np.asarray(cv2.warpAffine(wide, shift, (320, 240), flags=cv2.INTER_CUBIC), np.uint8)
        for of, picture in ((shown_slopes, steadied(smoother, photo, photo)), (slopes, photo)):
            of.append(float(np.abs(np.diff(picture[40:-40, 40:-40].astype(int), axis=1)).mean()))
    assert np.mean(shown_slopes[8:]) == pytest.approx(np.mean(slopes[8:]), rel=0.15)


def test_frames_may_be_seen_before_those_ahead_of_them_are_blended() -> None:
    one, ahead, photos = Smoother(0.5), Smoother(0.5), [noisy(window(2 * index), index) for index in range(4)]
    in_turn = [steadied(one, photo, 255 - photo) for photo in photos]
    seen = [ahead.see(photo, anew=index == 2) for index, photo in enumerate(photos)]
    followed = [*map(ahead.follow, reversed(seen))][::-1]
    together = [ahead.blend(255 - photo, each) for photo, each in zip(photos, followed, strict=True)]
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
        style(at(index / 25, noisy(photo, index)))
    style.set_strength(0.5)
    assert np.array_equal(style(at(0.2, noisy(photo, 9))).image, 255 - noisy(photo, 9))


def test_the_same_look_asked_for_again_changes_nothing() -> None:
    photo, shown = window(), list[Image]()
    style = stylizer(1.0)
    for index in range(4):
        style.set_style(style.mix)
        style.set_strength(style.strength)
        shown.append(style(at(index / 25, noisy(photo, index))).image)
    assert apart(shown[3], shown[2]) < 0.5  # of 2.3


def test_colours_are_kept_of_the_photo_of_now_and_strokes_hold_still() -> None:
    style, shown = stylizer(1.0), list[Image]()
    for index in range(3):
        photo = noisy(window()[..., :1], index).repeat(3, 2)
        photo[:60, :, 0] = 255 - 100 * (index == 2)  # what is painted has other colours
        style.keep_color = index > 0
        shown.append(style(at(index / 25, photo)).image)
    assert apart(shown[1][100:], shown[0][100:]) < 0.5  # of 2.3
    assert apart(shown[2][100:], shown[1][100:]) < 0.5
    assert apart(shown[2][:40, :, 0], shown[1][:40, :, 0]) > 20


def test_smoothing_works_at_the_size_of_the_net() -> None:
    style, sizes = stylizer(1.0), list[tuple[int, ...]]()
    smoother = style._smoother
    assert smoother is not None
    blend = smoother.blend
    smoother.blend = lambda painting, seen: sizes.append(painting.shape) or blend(painting, seen)  # type: ignore
    style.net_scale = 0.5
    assert {style(at(index / 25, window())).image.shape for index in range(3)} == {(240, 320, 3)}
    assert {*sizes} == {(120, 160, 3)}


def test_motion_is_looked_for_while_the_net_paints() -> None:
    style, found = stylizer(1.0), threading.Event()
    smoother = style._smoother
    assert smoother is not None
    follow = smoother.follow
    smoother.follow = lambda seen: (follow(seen), found.set())[0]  # type: ignore

    class Waiting(Inverting):
        def __call__(self, images: Image, vector: NDArray[np.float32]) -> Image:
            assert found.wait(20)
            return super().__call__(images, vector)

    style.engine = Waiting()
    assert style(at(0, window())).image.shape == (240, 320, 3)


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


def test_loops_are_loaded_beside_the_first_frame_and_what_fails_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def loops() -> Iterator[Callable[[], object]]:
        begun.set()
        yield lambda: go.wait(60)
        raise MemoryError("no room for loops")

    monkeypatch.setattr(temporal, "_loops", loops)
    monkeypatch.setattr(temporal, "_loading", [])
    monkeypatch.setattr(temporal, "_SLOW", 0.0)
    said = threading.Event()

    def told(line: str) -> None:
        assert "compiled" in line
        said.set()
        raise BrokenPipeError("nobody listens")

    smoother, photo = Smoother(told=told), window()
    assert np.array_equal(steadied(smoother, photo, photo), photo)  # the first frame does not wait
    assert begun.wait(60)
    assert said.wait(60)
    seen = smoother.see(window(4))
    go.set()
    with pytest.raises(MemoryError, match="no room"):
        smoother.follow(seen)
    monkeypatch.undo()
    assert smoother.follow(seen).flow is not None  # another try


def test_motion_in_the_largest_pictures_is_looked_for_as_wide_as_it_can_be() -> None:
    smoother, wide = Smoother(), window().repeat(4, 0)[:32].repeat(33, 1)  # 10560x32
    for shift in (0, 16):
        seen = smoother.follow(smoother.see(np.ascontiguousarray(np.roll(wide, shift, 1))))
        assert seen.now.small.shape[1] == WIDEST
    assert seen.flow is not None
    assert abs(np.median(seen.flow[..., 0]) + 16 * WIDEST / 10560) < 0.2


def test_a_program_may_end_while_loops_are_loaded() -> None:
    program = "import numpy, videostyle.temporal as t; t.Smoother().see(numpy.zeros((64, 64, 3), 'u1'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
