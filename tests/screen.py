"""A screen of its own for tests of real windows: Xvfb with a window manager, and hands in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import ImageGrab

from videostyle.frame import Image

PROGRAMS = ("Xvfb", "openbox", "xdotool", "wmctrl", "xwininfo")
PATIENCE = 45.0
HANDS = 10.0


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something, for as long as a slow machine may take."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


@dataclass
class Screen:
    """display: as in $DISPLAY."""

    display: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": self.display, "SDL_VIDEODRIVER": "x11"}

    def do(self, *command: str) -> str:
        """Run xdotool or wmctrl on this screen; what it said, "" where it failed."""
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, check=False, timeout=HANDS
            )
        except subprocess.TimeoutExpired:  # xdotool waits for windows that have gone
            return ""
        return done.stdout if done.returncode == 0 else ""

    def window(self, title: str) -> str:
        """The id of a window that is on the screen, "" while there is none."""
        windows = [line.split(maxsplit=3) for line in self.do("wmctrl", "-l").splitlines()]
        # For a moment the manager still lists a window that has gone: it has no size any more.
        return next((found[0] for found in windows if found[3:] == [title] and all(self.place(found[0])[2:])), "")

    def place(self, window: str) -> tuple[int, int, int, int]:
        """x, y, width and height of a window's inside."""
        said = self.do("xwininfo", "-id", window)  # xdotool and wmctrl count the window's frame twice
        facts = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
        wanted = "Absolute upper-left X", "Absolute upper-left Y", "Width", "Height"
        x, y, width, height = (int(facts.get(name, 0)) for name in wanted)
        return x, y, width, height

    def look(self, window: str) -> Image:
        """What a window shows: uint8 RGB (H, W, 3)."""
        x, y, width, height = self.place(window)
        return np.array(ImageGrab.grab((x, y, x + width, y + height), xdisplay=self.display))


@contextmanager
def screen() -> Iterator[Screen]:
    """Skips the test where Xvfb and the others are not installed."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install xvfb openbox xdotool wmctrl x11-utils")
    read, write = os.pipe()
    arguments = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
    with subprocess.Popen(arguments, pass_fds=(write,), stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with open(read) as said:
            shown = Screen(f":{said.readline().strip()}")
        try:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            with subprocess.Popen(["openbox", "--sm-disable"], env=shown.environment, **quiet) as manager:  # type: ignore[call-overload]
                until(lambda: shown.do("wmctrl", "-m"), "the window manager runs")
                try:
                    yield shown
                finally:
                    manager.terminate()
        finally:
            server.terminate()
