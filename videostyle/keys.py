"""The keys of a live session: one table for what they do, for the help in the window and for the README.

``python -m videostyle.keys`` prints the table in Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What a key can ask for."""

    STYLE = "style"
    NEXT = "next"
    PREVIOUS = "previous"
    STRONGER = "stronger"
    WEAKER = "weaker"
    BLEND = "blend"
    KEEP_COLOR = "keep colour"
    SMOOTH = "smooth"
    SPLIT = "split"
    MIRROR = "mirror"
    SHEET = "sheet"
    FREEZE = "freeze"
    RECORD = "record"
    CAMERA = "virtual camera"
    LEARN = "learn"
    SNAPSHOT = "snapshot"
    FULLSCREEN = "fullscreen"
    HELP = "help"
    BACK = "back"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Key:
    """names: what a window calls the keys: the character they type, or a word such as "left". label: for people."""

    action: Action
    names: tuple[str, ...]
    label: str
    help: str


KEYS = (
    Key(Action.STYLE, tuple("123456789"), "1 - 9", "paint in that style"),
    Key(Action.NEXT, ("n", "right"), "n, right", "next style"),
    Key(Action.PREVIOUS, ("N", "left"), "N, left", "previous style"),
    Key(Action.STRONGER, ("+", "=", "up"), "+, up", "more of the style"),
    Key(Action.WEAKER, ("-", "down"), "-, down", "more of the photo"),
    Key(Action.BLEND, ("b",), "b", "blend with the next style, and back"),
    Key(Action.KEEP_COLOR, ("c",), "c", "keep the colours of the photo"),
    Key(Action.SMOOTH, ("s",), "s", "hold the painting still, and let it flicker"),
    Key(Action.SHEET, ("g",), "g", "all styles side by side: click one"),
    Key(Action.SPLIT, ("x",), "x", "before and after, side by side"),
    Key(Action.MIRROR, ("m",), "m", "mirror the picture"),
    Key(Action.FREEZE, ("space",), "space", "hold the picture, and let it go"),
    Key(Action.RECORD, ("r",), "r", "record to a file, and stop"),
    Key(Action.CAMERA, ("v",), "v", "virtual camera on and off"),
    Key(Action.LEARN, ("l",), "l", "learn a style from the picture you hold up to the camera"),
    Key(Action.SNAPSHOT, ("p", "f12"), "p, F12", "save the picture as PNG"),
    Key(Action.FULLSCREEN, ("f", "f11"), "f, F11", "fullscreen and back"),
    Key(Action.HELP, ("h", "?"), "h, ?", "show these keys"),
    Key(Action.BACK, ("escape",), "Esc", "close what lies over the picture, or quit"),
    Key(Action.QUIT, ("q",), "q", "quit"),
)

REPEATED = (Action.NEXT, Action.PREVIOUS, Action.STRONGER, Action.WEAKER)
"""What a key that is held down goes on doing; all else is done once."""

_BY_NAME = {name: key.action for key in KEYS for name in key.names}


def action_of(name: str) -> Action | None:
    """What the key called ``name`` asks for. Capital letters do what small ones do where they mean nothing else."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.lower())


def markdown() -> str:
    """The table in Markdown, keys in code type."""
    rows = [(", ".join(f"`{part}`" for part in key.label.split(", ")), key.help) for key in KEYS]
    return "\n".join(["| key | what it does |", "| --- | --- |", *(f"| {label} | {text} |" for label, text in rows)])


if __name__ == "__main__":
    print(markdown())
