"""Films painted by looking both ways: every frame once, steady, and nothing lost that a keyframe does not show."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.banks import tiny_bank
from tests.clips import make_clip
from tests.test_stylizer import Inverting
from tests.test_temporal import WIDE, apart, window
from videostyle.cli import run
from videostyle.frame import Frame, Image
from videostyle.keyframes.both_ways import APART, BothWays
from videostyle.library import Library
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer, keep_colors


class Flickering(Inverting):
    """An engine whose paintings are darker by turns."""

    def __call__(self, images: Image, vector: NDArray[np.float32]) -> Image:
        self.shapes.append(images.shape)
        return np.asarray(images // 2 + 40 * (len(self.shapes) % 2), np.uint8)


def film(photos: Sequence[Image]) -> list[Frame]:
    return [Frame(photo, 3 * index, 40 * index, Fraction(1, 1000), 0.5) for index, photo in enumerate(photos)]


def paint(photos: Sequence[Image], **options: object) -> tuple[list[Frame], Flickering]:
    engine = Flickering()
    stylizer = Stylizer(engine, tiny_bank(), parse_mix("rain"), smooth="auto", **options)  # type: ignore[arg-type]
    return list(BothWays(stylizer).stream(film(photos))), engine


@pytest.mark.parametrize("count", [0, 1, 2, APART, APART + 1, APART + 2, 3 * APART])
def test_every_frame_comes_once_with_its_times(count: int) -> None:
    photos = [window(index) for index in range(count)]
    painted, _ = paint(photos)
    assert [(frame.index, frame.pts, frame.captured_at) for frame in painted] == [
        (frame.index, frame.pts, frame.captured_at) for frame in film(photos)
    ]


@pytest.mark.parametrize("shift", [0, 3])
def test_paintings_that_flicker_stand_still_and_move_as_the_film_does(shift: int) -> None:
    photos = [window(shift * index) for index in range(2 * APART + 1)]
    painted, engine = paint(photos)
    shown = [frame.image for frame in painted]
    inner = np.s_[40:-40, 60:-60]
    expected = [photo // 2 + 20 for photo in photos]
    steps = [
        apart(after[inner].astype(int) - want_after[inner], before[inner].astype(int) - want_before[inner])
        for before, after, want_before, want_after in zip(shown, shown[1:], expected, expected[1:], strict=False)
    ]
    assert max(steps) < 8  # frame by frame: 40
    assert len(engine.shapes) <= 3 + (3 * APART if shift else 0)  # what has just come in at the edge is painted anew


def test_scenes_owe_each_other_nothing() -> None:
    other = np.ascontiguousarray(255 - WIDE[:, ::-1][:, :320])
    painted, _ = paint([window()] * 14 + [other] * 14)
    for frame, photo in ((painted[13], window()), (painted[14], other)):
        flat = frame.image.astype(int) - photo // 2
        assert flat.std() < 2


def test_what_no_keyframe_shows_is_painted() -> None:
    photos = [window() for _ in range(APART + 1)]
    flash = photos[5].copy()
    flash[60:140, 100:200] = 250
    photos[5] = flash
    painted, _ = paint(photos)
    assert apart(painted[5].image[70:130, 110:190], flash[70:130, 110:190] // 2 + 20) < 25  # else: over 60
    assert apart(painted[4].image[70:130, 110:190], window()[70:130, 110:190] // 2 + 20) < 25


def test_sizes_and_colours_are_each_frames_own() -> None:
    photos = [np.ascontiguousarray(np.roll(window(), index, 2)) for index in range(4)]
    painted, _ = paint(photos, max_side=160)
    assert {frame.image.shape for frame in painted} == {(120, 160, 3)}
    tinted = [np.asarray(window() * np.array([1, 0.6, 0.2]), np.uint8) for _ in range(4)]
    painted, _ = paint(tinted, keep_color=True)
    assert apart(painted[2].image, keep_colors(tinted[2], painted[2].image)) < 1


def test_a_file_is_painted_so_and_live_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    style = Library().entries()[0].card.name
    clip = make_clip(tmp_path / "clip.mp4", frames=13)
    out = tmp_path / "out.mp4"
    assert run(["video", str(clip), str(out), "--style", style, "--smooth", "best"]) == 0
    assert "13 frames" in capsys.readouterr().err
    assert run(["live", "--source", str(clip), "--record", str(tmp_path / "x.mp4"), "--smooth", "best"]) == 2
    assert "choose auto" in capsys.readouterr().err
