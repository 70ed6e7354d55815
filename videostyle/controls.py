"""What keys and clicks do to a live session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from videostyle.keys import Action, action_of
from videostyle.painter import Painter
from videostyle.sinks.view import View
from videostyle.styles import StyleMix
from videostyle.stylizer import Stylizer

STRENGTH_STEP = 0.1
DIGITS = 9
"""Keys that a style has to itself."""


class Session(Protocol):
    """What controls need of the session besides painter and view."""

    def stop(self) -> None: ...
    def toggle_recording(self) -> None: ...
    def toggle_camera(self) -> None: ...
    def learn_view(self) -> None: ...
    def toggle_mirror(self) -> bool: ...
    def take_snapshot(self) -> None: ...
    def toggle_fullscreen(self) -> None: ...


class Controls:
    """Turns the names of keys and the places of clicks into changes; each is answered by a message in the view.

    All methods are called in one thread, that of the window. Keys that mean nothing do nothing.

    names: of the styles to choose from, in order.
    """

    def __init__(
        self, names: tuple[str, ...], stylizer: Stylizer, painter: Painter, view: View, session: Session
    ) -> None:
        self._names = names
        self._stylizer, self._painter, self._view, self._session = stylizer, painter, view, session
        self._do: dict[Action, Callable[[], object]] = {
            Action.NEXT: lambda: self._step(1),
            Action.PREVIOUS: lambda: self._step(-1),
            Action.STRONGER: lambda: self._strengthen(STRENGTH_STEP),
            Action.WEAKER: lambda: self._strengthen(-STRENGTH_STEP),
            Action.BLEND: self._blend,
            Action.KEEP_COLOR: self._keep_color,
            Action.SMOOTH: self._smooth,
            Action.SPLIT: self._split,
            Action.SHEET: self._sheet,
            Action.HELP: self._help,
            Action.MIRROR: self._mirror,
            Action.FREEZE: self._freeze,
            Action.RECORD: session.toggle_recording,
            Action.CAMERA: session.toggle_camera,
            Action.LEARN: session.learn_view,
            Action.SNAPSHOT: session.take_snapshot,
            Action.FULLSCREEN: session.toggle_fullscreen,
            Action.BACK: self._back,
            Action.QUIT: session.stop,
        }
        self._view.chosen = stylizer.mix.names

    def press(self, name: str) -> None:
        """Do what the key called ``name`` asks for."""
        if name == "return" and self._view.sheet.open:
            self._view.sheet.open = False
            return
        action = action_of(name)
        if action is Action.STYLE:
            number = int(name) - 1
            if number < len(self._names):
                self._view.sheet.open = False
                self.choose(self._names[number])
        elif action is not None:
            self._do[action]()

    def click(self, x: float, y: float) -> None:
        """Pick the style whose thumbnail is there."""
        if self._view.sheet.open:
            name = self._view.sheet.name_at(x, y)
            self._view.sheet.open = False
            if name is not None:
                self.choose(name)

    def choose(self, *names: str) -> None:
        """Paint in these styles, in equal parts."""
        mix = StyleMix(tuple((name, 1.0) for name in names))
        self._stylizer.set_style(mix)
        self._view.chosen = mix.names
        self._view.say(" + ".join(names))

    def add(self, name: str) -> None:
        """One more style to choose from; a key is its own."""
        before = min(len(self._names), DIGITS - 1)
        self._names = self._view.sheet.names = (*self._names[:before], name, *self._names[before:])

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def _current(self) -> int:
        """Where the heaviest part of the mix stands among the names; -1 where it is none of them."""
        heaviest, _ = max(self._stylizer.mix.parts, key=lambda part: part[1])
        return self._names.index(heaviest) if heaviest in self._names else -1

    def _step(self, by: int) -> None:
        here = self._current
        there = here + by if here >= 0 or by > 0 else here
        self.choose(self._names[there % len(self._names)])

    def _blend(self) -> None:
        first = max(0, self._current)
        second = (first + 1) % len(self._names)
        if len(self._stylizer.mix.parts) > 1 or first == second:
            self.choose(self._names[first])
        else:
            self.choose(self._names[first], self._names[second])

    def _strengthen(self, by: float) -> None:
        strength = min(1.0, max(0.0, round(self._stylizer.strength + by, 2)))
        self._stylizer.set_strength(strength)
        self._view.say(f"strength {strength:.0%}")

    def _keep_color(self) -> None:
        self._stylizer.keep_color = not self._stylizer.keep_color
        self._view.say("colours of the photo" if self._stylizer.keep_color else "colours of the style")

    def _smooth(self) -> None:
        self._stylizer.smooth = "auto" if self._stylizer.smooth == "off" else "off"
        self._view.say(f"smoothing {self._stylizer.smooth}")

    def _split(self) -> None:
        self._view.split = not self._view.split

    def _sheet(self) -> None:
        self._view.help = False
        self._view.sheet.open = not self._view.sheet.open

    def _help(self) -> None:
        self._view.help = not self._view.help

    def _mirror(self) -> None:
        self._view.say("mirrored" if self._session.toggle_mirror() else "not mirrored")

    def _freeze(self) -> None:
        self._painter.frozen = self._view.frozen = not self._painter.frozen

    def _back(self) -> None:
        if not self._view.close_panel():
            self._session.stop()
