"""``videostyle live`` in a real window under Xvfb, with xdotool for hands: keys, clicks, pictures, the close button."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.banks import tiny_bank
from tests.screen import PATIENCE, Screen, screen, until
from videostyle.frame import Image
from videostyle.library import HOME_VARIABLE
from videostyle.pictures import load_picture
from videostyle.scaling import scale
from videostyle.sinks.view import SHOWN_FOR
from videostyle.sources import open_source

NAMES = ("rain", "sun", "hail")


@pytest.fixture(scope="module")
def display() -> Iterator[Screen]:
    with screen() as shown:
        yield shown


@dataclass
class Running:
    """A session with its window."""

    screen: Screen
    process: subprocess.Popen[str]
    window: str
    folder: Path

    def press(self, *keys: str) -> None:
        # One after the other: hands take a hundredth of a second for a key, and xdotool takes none.
        for key in keys:
            self.screen.do("xdotool", "windowfocus", self.window, "key", "--delay", "30", key)

    def click(self, x: int, y: int) -> None:
        self.screen.do("xdotool", "mousemove", "--window", self.window, str(x), str(y), "click", "1")

    def look(self) -> Image:
        return self.screen.look(self.window)

    def picture(self) -> Image:
        """A part of the window where nothing lies over the picture."""
        image = self.look()
        height, width, _ = image.shape
        return image[height // 4 : height * 3 // 4, width * 3 // 5 :]

    def still(self) -> Image:
        """What the window shows once nothing changes any more."""
        last = self.look()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(0.4)
            now = self.look()
            # The figures in the corner change, the picture must not.
            if np.array_equal(last[120:], now[120:]):
                return now
            last = now
        raise AssertionError("the window does not come to rest")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def running(display: Screen, tmp_path: Path) -> Iterator[Running]:
    styles = tmp_path / "home" / "styles"
    styles.mkdir(parents=True)
    tiny_bank("identity", *NAMES).save(styles / "tiny.safetensors")
    environment = {**display.environment, HOME_VARIABLE: str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    options = ["--source", "synthetic:160x120", "--style", "rain", "--max-side", "160", "--device", "cpu", "--json"]
    program = [sys.executable, "-m", "videostyle", "live", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, cwd=tmp_path, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            found: list[str] = []

            def opened() -> bool:
                assert process.poll() is None, process.communicate()
                found.append(display.window("videostyle"))
                return bool(found[-1])

            until(opened, "the window opens")
            yield Running(display, process, found[-1], tmp_path)
            until(lambda: process.poll() is None or not display.window("videostyle"), "the window has gone")
        finally:
            if process.poll() is None:
                process.kill()


def differ(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_keys_change_what_is_seen(running: Running) -> None:
    until(lambda: running.look().any() and running.look().std() > 5, "something is painted")
    first = running.picture()
    until(lambda: differ(running.picture(), first) > 0.5, "the picture moves")
    running.press("space")
    running.still()
    rain = running.picture()
    running.press("2")
    until(lambda: differ(running.picture(), rain) > 3, "another style is seen")
    sun = running.still()
    there = running.picture()
    running.press("Left")
    until(lambda: differ(running.picture(), there) > 3, "the first style is back")
    running.still()
    # From here on all is painted of the same held photo: what came before it has left its last codes in "rain" above.
    rain = running.picture()
    running.press("2")
    until(lambda: differ(running.picture(), there) < 1, "the other style is as it was")
    running.press("Left")
    until(lambda: differ(running.picture(), rain) < 1, "the first style is as it was")

    whole = running.still()
    running.press("x")
    until(lambda: differ(running.look()[200:300, 20:280], whole[200:300, 20:280]) > 3, "the photo is on the left")
    assert differ(running.still()[200:300, 360:620], whole[200:300, 360:620]) < 1, "the painting stays on the right"
    running.press("x", "h")
    until(lambda: running.look()[230:250, 300:340].mean() < 120, "the help lies over the picture")
    running.press("Escape")
    until(lambda: differ(running.still()[200:300, 20:620], whole[200:300, 20:620]) < 1, "the help is gone")
    assert differ(sun[200:300, 20:620], whole[200:300, 20:620]) > 3

    running.press("q")
    code, out, err = running.end()
    assert code == 0, err
    report = json.loads(out)
    assert report["frames_out"] > 10
    assert report["size"] == [160, 120]


def test_a_click_in_the_sheet_picks_a_style_and_the_close_button_ends_the_run(running: Running) -> None:
    until(lambda: running.look().any() and running.look().std() > 5, "something is painted")
    running.press("space")
    running.still()
    rain = running.picture()
    running.press("g")
    # Two columns: the second style is on the upper right.
    until(lambda: running.look()[20:200, 340:620].std() > 3, "thumbnails are drawn")
    time.sleep(0.5)
    running.click(480, 100)
    until(lambda: differ(running.picture(), rain) > 3, "the style of the thumbnail is seen")
    until(lambda: running.look()[:8].mean() > 1, "the sheet is closed")
    running.screen.do("wmctrl", "-c", "videostyle")
    code, out, err = running.end()
    assert code == 0, err
    assert json.loads(out)["output"] is None


def test_recordings_snapshots_and_the_whole_screen(running: Running) -> None:
    until(lambda: running.look().any() and running.look().std() > 5, "something is painted")
    running.press("r")
    until(lambda: list(running.folder.glob("videostyle-*.mp4")), "a recording begins")
    time.sleep(2)
    running.press("r", "space")
    running.still()
    running.press("F12")
    until(lambda: list(running.folder.glob("videostyle-*.png")), "the picture is saved")
    time.sleep(SHOWN_FOR)
    (saved,) = running.folder.glob("videostyle-*.png")
    image = load_picture(saved)
    assert image.shape == (120, 160, 3)
    assert np.array_equal(running.still()[120:], scale(image, (640, 480))[120:])
    running.press("f")
    until(lambda: running.screen.place(running.window)[2:] == (1024, 768), "the window fills the screen")
    running.press("f")
    until(lambda: running.screen.place(running.window)[2:] == (640, 480), "the window is a window again")
    running.press("q")
    code, out, err = running.end()
    assert code == 0, err
    (recorded,) = running.folder.glob("videostyle-*.mp4")
    assert json.loads(out)["output"] == recorded.name
    source = open_source(recorded)
    frames = list(source)
    source.close()
    assert len(frames) > 5
    assert frames[0].seconds == pytest.approx(0, abs=0.05)
    assert frames[0].image.shape == (120, 160, 3), "nothing of the window is in it"
