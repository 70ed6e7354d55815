"""``videostyle demo``: the first contact."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videostyle.cli.common import Painting, painting_options, report_options, tell, tell_report
from videostyle.cli.video import paint_video
from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.library import shipped_folder
from videostyle.styles import StyleMix

if TYPE_CHECKING:
    from videostyle.frame import Frame
    from videostyle.stylizer import Stylizer

OUTPUT = Path("videostyle-demo.mp4")


@click.command()
@painting_options
@click.option("--no-window", is_flag=True, help="Do not show the result, even where there is a screen.")
@report_options
def command(painting: Painting, no_window: bool, as_json: bool) -> None:
    """Paint the clip that comes with videostyle, write videostyle-demo.mp4 into this folder, and show it.

    Without --style it goes through the styles of the bank, one melting into the next.
    """
    clip = shipped_folder() / "demo.mp4"
    if not clip.is_file():
        raise SourceError(f"{clip} is missing: install videostyle again, or try videostyle video INPUT OUTPUT")
    if not os.access(Path.cwd(), os.W_OK):
        raise UsageError(f"{Path.cwd()} cannot be written to: change to a folder of your own and try again")
    report = paint_video(clip, OUTPUT, painting, force=True, steer=None if painting.style else tour)
    tell_report(report, as_json=as_json)
    tell(f"Watch it: {OUTPUT.resolve()}")
    if not (no_window or as_json) and has_screen(os.environ, sys.platform):
        show(OUTPUT)


def tour(stylizer: Stylizer, names: Sequence[str], frame: Frame) -> None:
    """A second in each style, the last third of it melting into the next."""
    number, second = divmod(frame.seconds, 1)
    now, soon = (names[(int(number) + step) % len(names)] for step in (0, 1))
    share = max(0.0, 3 * second - 2)
    stylizer.set_style(StyleMix(((now, 1 - share), (soon, share))) if len(names) > 1 else StyleMix(((now, 1.0),)))


def has_screen(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window could open: always on Windows and macOS, else where X11 or Wayland is announced."""
    return platform in {"win32", "darwin"} or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def show(path: Path) -> None:
    """Play a video in a window until it ends, or a key, or the window's closing; say so where no window opens."""
    from videostyle.sinks.window import WindowSink
    from videostyle.sources import open_source

    with closing(open_source(path, paced=True)) as frames:
        title = "videostyle demo (any key closes)"
        try:
            window = WindowSink("", frames.info, title=title, on_key=lambda key: frames.close(), on_close=frames.close)
        except SinkError as error:
            tell(f"note: {error}")
            return
        with closing(window):
            for frame in frames:
                window.write(frame)
