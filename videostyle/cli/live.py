"""``videostyle live``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videostyle.cli.common import Painting, check_paths, emit, force_option, painting_options, report_options, tell
from videostyle.controls import DIGITS
from videostyle.errors import UsageError
from videostyle.library import Library
from videostyle.pictures import FORMATS, load_picture
from videostyle.styles import IDENTITY, StyleBank, StyleMix

if TYPE_CHECKING:
    from videostyle.frame import StreamInfo
    from videostyle.live import LiveSession, Window
    from videostyle.sinks.view import View
    from videostyle.stats import RunReport

USUAL_FPS = 30.0
"""What is held where a source does not say its rate."""


@click.command()
@click.option("--source", default="webcam:0", show_default=True, metavar="webcam:N|URL|FILE", help="What to paint.")
@painting_options
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Record it.")
@click.option(
    "--virtual-camera",
    "camera",
    is_flag=False,
    flag_value="",
    metavar="[DEVICE]",
    help="Be a camera for other programs: the first virtual one, or DEVICE.",
)
@click.option("--stream", metavar="URL", help="Send to an address: rtmp://, rtsp://, http://, or a playlist .m3u8.")
@click.option("--no-window", is_flag=True, help="Show nothing: for --record, --virtual-camera, --stream.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End after S seconds.")
@click.option(
    "--target-fps",
    type=click.FloatRange(1, 240),
    metavar="N",
    help="Rate to hold by painting smaller pictures inside the net. Left out: the source's own.",
)
@click.option("--loop", is_flag=True, help="Play a file over and over.")
@click.option("--no-mirror", is_flag=True, help="Show a webcam as others see you.")
@click.option("--no-reconnect", is_flag=True, help="End when a camera or address is lost, instead of trying again.")
@force_option
@report_options
def command(
    source: str,
    painting: Painting,
    record: Path | None,
    camera: str | None,
    stream: str | None,
    no_window: bool,
    duration: float | None,
    target_fps: float | None,
    loop: bool,
    no_mirror: bool,
    no_reconnect: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Paint a webcam, an address or a file while it plays, in a window that obeys keys: h shows them.

    \b
    videostyle live
    videostyle live --style great-wave --record me.mp4 --virtual-camera
    videostyle live --source holiday.mp4 --loop
    videostyle live --style my-painting.jpg
    """
    from videostyle.apprentice import Apprentice
    from videostyle.live import CROSSFADE, LiveSession
    from videostyle.live_outputs import Outputs
    from videostyle.sources import open_source

    wanted = Outputs(record, force, camera, stream)
    if no_window and not any((record, camera is not None, stream)):
        raise UsageError("--no-window leaves nowhere to paint to: add --record FILE, --virtual-camera or --stream URL")
    if painting.smooth == "best":
        raise UsageError(
            "--smooth best looks at frames that are yet to come, which live there are none of: choose auto"
        )
    if record is not None:
        check_paths(source, record, force=force)
    library = Library()
    picture = style_picture(painting, library)
    painting = painting if picture is None else replace(painting, style=None)
    mix, bank = whole_bank(painting, library)
    own = {entry.card.name for entry in library.entries() if entry.shelved.own}
    names = keyed([name for name in bank.names if name != IDENTITY], own) or bank.names
    with ExitStack() as ends:
        options = source_options(source, loop=loop, mirror=not no_mirror, reconnect=not no_reconnect)
        frames = open_source(source, paced=True, **options)
        ends.callback(frames.close)
        engine, stylizer = painting.start(mix, bank, crossfade=CROSSFADE)
        ends.callback(lambda: stylizer.engine.close())  # a style learned meanwhile may have brought another
        ends.callback(stylizer.close)
        rate = target_fps or (None if painting.max_side else float(frames.info.rate or USUAL_FPS))
        session = LiveSession(
            frames,
            stylizer,
            names,
            wanted,
            window=None if no_window else open_window,
            target_fps=rate,
            duration=duration,
            learn=lambda path, name: Apprentice(path, name, mix.names[0]),
            told=tell,
        )
        if picture is not None:
            session.learn(*picture)
        report = session.run().on(engine)
    return conclude(session, report, as_json=as_json)


def style_picture(painting: Painting, library: Library) -> tuple[Path, str] | None:
    """The picture that --style names in place of a style, and the name of the style that is to be learned from it.

    Raises UsageError where there is a style of that name, SourceError for what is no picture.
    """
    path = Path(painting.style or "")
    if path.suffix.lower() not in FORMATS:
        return None
    load_picture(path, max_side=64)
    name = re.sub("[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "picture"
    if name in (entry.card.name for entry in library.entries()):
        raise UsageError(f"there is a style {name} already: --style {name} paints in it, or rename {path.name}")
    return path, name


def whole_bank(painting: Painting, library: Library) -> tuple[StyleMix, StyleBank]:
    """The mix to begin with, and its bank with every style of the library that the same net can paint."""
    mix, bank = painting.choose(library)
    return mix, library.extended(bank)


def keyed(names: Sequence[str], own: Collection[str]) -> tuple[str, ...]:
    """``names`` in the order of the keys 1 to 9: one's own styles are the last of the nine, so that each has a key."""
    others, mine = ([name for name in names if (name in own) == is_own] for is_own in (False, True))
    before = max(0, DIGITS - len(mine))
    return (*others[:before], *mine, *others[before:])


def source_options(source: str, *, loop: bool, mirror: bool, reconnect: bool) -> dict[str, Any]:
    """Keyword arguments for a source, those that its kind has. Raises UsageError for a flag that it cannot follow."""
    from videostyle.sources import source_kind

    kind = source_kind(source, paced=True)
    if loop and kind not in ("paced", "url"):
        raise UsageError(f"--loop plays a file over and over; {source} has no end")
    return {
        **({"mirror": mirror} if kind == "webcam" else {}),
        **({"reconnect": reconnect} if kind in ("webcam", "url") else {}),
        **({"loop": True} if loop else {}),
    }


def open_window(info: StreamInfo, view: View) -> Window:
    """The window of a session. Raises SinkError where none can be opened."""
    from videostyle.sinks.window import WindowSink

    return WindowSink("", info, view=view)


def conclude(session: LiveSession, report: RunReport, *, as_json: bool) -> int:
    """Say how the session went; the exit code."""
    tell(*(f"note: {note}" for note in report.notes))
    size = f", {report.size[0]}x{report.size[1]}" if report.size else ""
    latency = f", {report.latency_ms.p50:.0f} ms behind the source" if report.latency_ms.p50 is not None else ""
    where = f"{report.engine}/{report.precision}/{report.device}"
    tell(
        f"{report.output or 'live'}: {report.frames_out} frames{size} in {report.seconds:.1f} s, {report.fps:.1f} fps, "
        f"{report.dropped} dropped{latency} ({where})"
    )
    if as_json:
        emit(report.to_json())
    if session.signal is not None:
        return 128 + session.signal
    return 1 if session.failures else 0
