"""The window on a screen that is only memory: what it shows, and what of it is heard. See test_live_window for real."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.scripted import frame
from videostyle.errors import SinkError
from videostyle.frame import StreamInfo
from videostyle.sinks import open_sink, window
from videostyle.sinks.sheet import StyleSheet
from videostyle.sinks.view import View
from videostyle.sinks.window import WindowSink

INFO = StreamInfo(640, 480, Fraction(1, 30), Fraction(30), live=True)


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return window._load()


@pytest.fixture
def opened(pygame: Any) -> Iterator[WindowSink]:
    sink = WindowSink("", INFO, view=View(StyleSheet(("rain", "sun"))))
    yield sink
    sink.close()


def picture(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320] = (value, 20, 60)
    return image


def shown(sink: WindowSink) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    surface = sink._window.get_surface()
    pixels = np.frombuffer(sink._sdl.image.tobytes(surface, "RGB"), np.uint8)
    return pixels.reshape(*surface.get_size()[::-1], 3)


def press(pygame: Any, key: str, text: str = "") -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key), unicode=text, mod=0))


def test_it_shows_the_pixels_of_frames(opened: WindowSink, pygame: Any) -> None:
    for value in (10, 250):
        opened.write(replace(frame(value), image=picture(value)))
        assert np.array_equal(shown(opened), picture(value))
    assert opened.output is None
    assert opened.notes == []


def test_keys_go_by_what_they_type_or_are_called(opened: WindowSink, pygame: Any) -> None:
    heard: list[str] = []
    opened.on_key = heard.append
    typed = [
        ("1", "1"),
        ("n", "n"),
        ("n", "N"),
        ("=", "+"),
        ("left", ""),
        ("f12", ""),
        ("escape", "\x1b"),
        ("space", " "),
    ]
    for key, text in [*typed, ("c", "\x03"), ("left shift", "")]:
        press(pygame, key, text)
    opened.pump()
    assert heard == ["1", "n", "N", "+", "left", "f12", "escape", "space"]


def test_a_key_that_is_held_down_is_heard_again_only_where_it_goes_a_step(opened: WindowSink, pygame: Any) -> None:
    heard: list[str] = []
    opened.on_key = heard.append
    for key in ("r", "+"):
        for _ in range(3):
            press(pygame, "=" if key == "+" else key, key)
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.key.key_code("r"), unicode="r", mod=0))
    press(pygame, "r", "r")
    opened.pump()
    assert heard == ["r", "+", "+", "+", "r"]


def test_clicks_and_the_close_button_are_heard(opened: WindowSink, pygame: Any) -> None:
    clicks: list[tuple[float, float]] = []
    closes: list[str] = []
    opened.on_click = lambda x, y: clicks.append((x, y))
    opened.on_close = lambda: closes.append("closed")
    for button in (1, 3):
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=button, pos=(30, 40)))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    opened.write(replace(frame(0), image=picture(0)))
    assert clicks == [(30, 40)]
    assert closes == ["closed"]


def test_it_opens_larger_for_small_pictures_and_within_the_screen_for_large_ones(pygame: Any) -> None:
    screen = pygame.display.get_desktop_sizes()[0] if pygame.display.get_init() else None
    sizes = {}
    for width, height in ((160, 120), (640, 480), (8000, 4500)):
        with WindowSink("", replace(INFO, width=width, height=height)) as sink:
            sizes[width] = sink._window.size
            screen = pygame.display.get_desktop_sizes()[0]
    assert sizes[160] == (640, 480)
    assert sizes[640] == (640, 480)
    assert screen is not None
    assert sizes[8000][0] < screen[0]
    assert sizes[8000][0] / sizes[8000][1] == pytest.approx(16 / 9, rel=0.01)


def test_fullscreen_and_back(opened: WindowSink, pygame: Any) -> None:
    opened.write(replace(frame(0), image=picture(90)))
    opened.toggle_fullscreen()
    assert opened._window.size == pygame.display.get_desktop_sizes()[0]
    opened.toggle_fullscreen()
    assert np.array_equal(shown(opened), picture(90))


def test_closed_it_is_closed(opened: WindowSink, pygame: Any) -> None:
    opened.close()
    opened.close()
    opened.pump()
    opened.write(replace(frame(0), image=picture(90)))
    assert not pygame.display.get_init()


def test_it_is_a_sink_by_name(pygame: Any) -> None:
    sink = open_sink("window:", INFO)
    sink.write(replace(frame(0), image=picture(5)))
    sink.close()


@pytest.mark.parametrize("driver", ["x11", ""])
def test_without_a_screen_it_says_what_to_do(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    monkeypatch.setenv("DISPLAY", ":987" if driver else "")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"no window can be opened here.*--no-window"):
        WindowSink("", INFO)


def test_without_the_toolkit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SinkError, match="pip install pygame-ce"):
        WindowSink("", INFO)
