"""A window, by SDL through pygame-ce."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from videostyle.errors import SinkError
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.keys import REPEATED, action_of
from videostyle.sinks.sheet import StyleSheet
from videostyle.sinks.tiles import icon
from videostyle.sinks.view import View

INSTALL = "pip install pygame-ce, or go on without it: --no-window"
LEAST = 480
"""Pixels of height below which a window opens larger than its pictures: menus must be read."""

_WORDS = ("left", "right", "up", "down", "space", "escape", "return", *(f"f{number}" for number in range(1, 13)))


class WindowSink(Closing):
    """Shows frames in a window that can be resized, made fullscreen and closed.

    Made, written to, pumped and closed in one thread, the main one: macOS and Windows demand it.

    spec: ignored; the window's title comes from ``title``.
    view: composes what is shown. None makes one that shows the frames alone.
    on_key: called with the name of each key pressed: the character it types, or a word such as "left", "f12"; again
        while it is held down where it goes a step (``keys.REPEATED``).
    on_click: called with x and y in pixels of what the view composed. on_close: called when the window is closed.

    Raises SinkError where pygame-ce or a screen is missing.
    """

    output: str | None = None

    def __init__(
        self,
        spec: str,
        info: StreamInfo,
        *,
        title: str = "videostyle",
        view: View | None = None,
        on_key: Callable[[str], None] = lambda name: None,
        on_click: Callable[[float, float], None] = lambda x, y: None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.notes: list[str] = []
        self.view = View(StyleSheet(())) if view is None else view
        self.on_key, self.on_click, self.on_close = on_key, on_click, on_close
        self._sdl: Any = _load()
        self._newest: Frame | None = None
        self._fullscreen = False
        self._held: set[int] = set()
        self._closed = False
        try:
            self._refuse_no_screen()
            self._sdl.display.init()
            self._window: Any = self._sdl.Window(title, self._first_size(info), resizable=True)
            self._window.set_icon(self._picture(icon()))
            self._window.get_surface()  # from the first moment on it is black, not what lay there before
            self._window.flip()
            self._sdl.key.set_repeat(350, 60)
        except self._sdl.error as exc:
            self._sdl.display.quit()
            raise SinkError(f"no window can be opened here ({exc}); --no-window goes on without one") from exc

    def write(self, frame: Frame) -> None:
        """Show a frame, and hand out what was pressed since the last one."""
        self._newest = frame
        self._show()
        self.pump()

    def pump(self) -> None:
        """Hand out what was pressed and clicked since the last call: to be called every few hundredths of a second."""
        if self._closed:
            return
        sdl = self._sdl
        for event in sdl.event.get():
            if event.type in (sdl.QUIT, sdl.WINDOWCLOSE):
                self.on_close()
            elif event.type == sdl.KEYDOWN:
                name = self._name(event)
                if name and (event.key not in self._held or action_of(name) in REPEATED):
                    self.on_key(name)
                self._held.add(event.key)
            elif event.type == sdl.KEYUP:
                self._held.discard(event.key)
            elif event.type == sdl.MOUSEBUTTONDOWN and event.button == 1:
                self.on_click(*event.pos)
            elif event.type in (sdl.WINDOWRESIZED, sdl.WINDOWEXPOSED):
                self._show()

    def toggle_fullscreen(self) -> None:
        """From a window to the whole screen, or back to the window's former size."""
        self._fullscreen = not self._fullscreen
        if self._fullscreen:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()
        self._sdl.mouse.set_visible(not self._fullscreen)
        self._show()

    def close(self, complete: bool = True) -> None:
        if not self._closed:
            self._closed = True
            self._newest = None
            self._window.destroy()
            self._sdl.display.quit()

    def _show(self) -> None:
        if self._newest is None or self._closed:
            return
        surface = self._window.get_surface()
        canvas = self.view.compose(self._newest, surface.get_size())
        surface.blit(self._picture(canvas), (0, 0))
        self._window.flip()

    def _picture(self, image: Image) -> Any:
        return self._sdl.image.frombuffer(image, image.shape[1::-1], "RGB")

    def _first_size(self, info: StreamInfo) -> tuple[int, int]:
        """The pictures' own size, enlarged where it is small, and within the screen."""
        (wide, high), *_ = self._sdl.display.get_desktop_sizes()
        factor = max(1.0, LEAST / info.height)
        factor = min(factor, 0.9 * wide / info.width, 0.85 * high / info.height)
        return max(1, round(info.width * factor)), max(1, round(info.height * factor))

    def _refuse_no_screen(self) -> None:
        # SDL would go on with a driver that shows nothing, after a complaint of its own about Wayland.
        announced = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
        if sys.platform.startswith("linux") and not announced:
            raise self._sdl.error("there is no screen")

    def _name(self, event: Any) -> str:
        """What was pressed; "" for what no one waits for, such as Ctrl with a letter."""
        word = str(self._sdl.key.name(event.key))
        if word in _WORDS:
            return word
        character = str(event.unicode)
        return character if len(character) == 1 and character.isprintable() else ""


def _load() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it goes to stdout, which is for programs
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    if sys.platform.startswith("linux"):
        os.environ.setdefault("SDL_VIDEO_X11_WMCLASS", "videostyle")
    try:
        return importlib.import_module("pygame")
    except ImportError as exc:
        raise SinkError(f"a window needs pygame-ce ({exc}): {INSTALL}") from exc
