"""What a window shows, composed without one: the picture's place, the halves, the sheet and what lies over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.scripted import frame
from videostyle.frame import Frame, Image
from videostyle.keys import KEYS
from videostyle.sinks import view as views
from videostyle.sinks.sheet import StyleSheet, grid
from videostyle.sinks.tiles import RED, badge, blend, icon, label, panel, text_rows
from videostyle.sinks.view import View

NAMES = ("great-wave", "rain", "sun", "udnie")


def painted(width: int = 320, height: int = 180) -> Frame:
    """A painting of 200 from a photo of 100."""
    image = np.full((height, width, 3), 200, np.uint8)
    return replace(frame(0), image=image, photo=np.full_like(image, 100))


def view() -> View:
    return View(StyleSheet(NAMES))


def different(one: Image, other: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray((one != other).any(axis=2))


def test_a_picture_of_the_windows_size_is_shown_as_it_is_and_left_alone() -> None:
    now = painted()
    over = view()
    over.info, over.recording, over.help = ("great-wave", "30 fps"), True, True
    before = now.image.copy()
    shown = over.compose(now, (320, 180))
    assert (shown != 200).any()
    assert np.array_equal(now.image, before)
    assert np.array_equal(view().compose(now, (320, 180)), before)


@pytest.mark.parametrize(("size", "inner"), [((640, 480), (640, 360)), ((400, 180), (320, 180)), ((64, 90), (64, 36))])
def test_other_proportions_get_black_borders(size: tuple[int, int], inner: tuple[int, int]) -> None:
    shown = view().compose(painted(), size)
    assert shown.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(shown[..., 0])
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == inner
    assert abs(columns.min() + columns.max() + 1 - size[0]) <= 1
    assert set(np.unique(shown)) == {0, 200}


def test_borders_stay_black_when_the_proportions_change_on_the_way() -> None:
    over = view()
    over.compose(painted(400, 400), (400, 200))
    over.compose(painted(200, 400), (400, 200))
    shown = over.compose(painted(400, 200), (400, 200))
    assert (shown == 200).all()
    assert (over.compose(painted(200, 400), (400, 200))[:, :149] == 0).all()


def test_before_and_after_lie_side_by_side() -> None:
    over = view()
    over.split = True
    shown = over.compose(painted(), (640, 360))
    assert (shown[100, :318] == 100).all()
    assert (shown[100, 322:] == 200).all()
    assert (shown[100, 319:321] == 245).all()
    assert (over.compose(replace(painted(), photo=None), (640, 360)) == 200).all()


def test_a_message_goes_away_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(views, "perf_counter", lambda: now[0])
    over = view()
    over.say("great-wave")
    assert (over.compose(painted(), (320, 180)) != 200).any()
    now[0] += views.SHOWN_FOR
    assert (over.compose(painted(), (320, 180)) == 200).all()


def test_badges_say_what_is_on() -> None:
    over = view()
    plain = over.compose(painted(), (640, 360)).copy()
    shown = []
    for name in ("recording", "camera", "frozen"):
        setattr(over, name, True)
        changed = different(over.compose(painted(), (640, 360)), plain)
        assert not changed[60:].any()
        shown.append(int(changed.sum()))
    assert 0 < shown[0] < shown[1] < shown[2]
    red = (np.abs(over.compose(painted(), (640, 360)).astype(int) - RED).max(axis=2) < 10).sum()
    assert red > 20


def test_the_help_fits_into_small_windows_too() -> None:
    for size in ((320, 180), (640, 360), (1920, 1080), (120, 60)):
        over = view()
        over.help = True
        changed = different(over.compose(painted(), size), view().compose(painted(), size))
        rows, _ = np.nonzero(changed)
        assert changed.any()
        if size[1] >= 360:
            assert rows.min() > 0
            assert rows.max() < size[1] - 1
    assert over.close_panel()
    assert not over.close_panel()
    assert len(KEYS) > 10


def test_the_sheet_shows_every_style_and_knows_where() -> None:
    over = view()
    over.sheet.open = True
    over.chosen = ("sun",)
    for number, name in enumerate(NAMES):
        over.sheet.put(name, np.full((90, 160, 3), 50 * (number + 1), np.uint8))
    shown = over.compose(painted(), (640, 360))
    seen = {}
    for y in range(0, 360, 5):
        for x in range(0, 640, 5):
            found = over.sheet.name_at(x, y)
            if found is not None and found not in seen:
                seen[found] = shown[y + 20, x + 20, 0]
    assert seen == {"great-wave": 50, "rain": 100, "sun": 150, "udnie": 200}
    assert over.sheet.name_at(0, 0) is None
    assert over.sheet.drawn == 4
    assert over.close_panel()
    assert not over.sheet.open


def test_thumbnails_take_turns() -> None:
    sheet = StyleSheet(NAMES, side=64)
    assert [sheet.next_name() for _ in range(6)] == [*NAMES, "great-wave", "rain"]
    assert sheet.thumbnail_size(np.zeros((180, 320, 3), np.uint8)) == (64, 36)
    assert sheet.thumbnail_size(np.zeros((30, 20, 3), np.uint8)) == (20, 30)


@pytest.mark.parametrize("count", [1, 2, 5, 18, 40])
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1920, 1080)])
def test_a_grid_has_room_for_all_without_overlap(count: int, size: tuple[int, int]) -> None:
    boxes = grid(count, size, 16 / 9)
    assert len(boxes) == count
    covered = np.zeros((size[1], size[0]), int)
    for box in boxes:
        assert min(box.x, box.y) >= 0
        assert box.x + box.width <= size[0]
        assert box.y + box.height <= size[1]
        assert box.width / box.height == pytest.approx(16 / 9, rel=0.1)
        covered[box.y : box.y + box.height, box.x : box.x + box.width] += 1
    assert covered.max() == 1


def test_no_room_is_no_grid() -> None:
    assert grid(30, (20, 10), 1.5) == []
    over = view()
    over.sheet.open = True
    assert over.compose(painted(), (16, 10)).shape == (10, 16, 3)


@pytest.mark.parametrize("below", [0, 1, 127, 254, 255])
def test_blending_is_exact_where_a_tile_is_clear_and_never_overflows(below: int) -> None:
    for tile in (panel(text_rows(["Aa"]), 14), badge("REC", 14, RED), label("sun", 14, 60, chosen=True)):
        canvas = np.full((tile.height + 10, tile.width + 10, 3), below, np.uint8)
        blend(canvas, tile, 5, 5)
        clear = (tile.through == 256)[..., 0]
        assert (canvas[5:-5, 5:-5][clear] == below).all()
        alpha = 256.0 - tile.through
        expected = below * (1 - np.where(tile.through == 0, 255, alpha) / 255) + tile.color
        assert np.abs(canvas[5:-5, 5:-5] - expected).max() <= 2


def test_tiles_are_cut_off_at_the_edges() -> None:
    tile = badge("REC", 14, RED)
    for x, y in ((-5, -5), (45, 25), (-500, 0), (0, 500)):
        canvas = np.zeros((30, 50, 3), np.uint8)
        blend(canvas, tile, x, y)
        assert canvas.any() == (abs(x) < 100 and abs(y) < 100)


def test_the_icon_is_a_picture() -> None:
    assert icon(32).shape == (32, 32, 3)
    assert len(np.unique(icon(32).reshape(-1, 3), axis=0)) > 4
