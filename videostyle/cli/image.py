"""``videostyle image INPUT OUTPUT``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from videostyle.cli.common import Painting, check_paths, emit, force_option, painting_options, report_options, tell
from videostyle.cli.optimizing import Optimizing, PaintProgress, library_net, optimizing_options
from videostyle.errors import UsageError

if TYPE_CHECKING:
    from videostyle.frame import Image


@dataclass(frozen=True, slots=True)
class _Ran:
    """What painted, as a report names it, and when it began."""

    name: str
    precision: str
    device: str
    began: float


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@painting_options
@click.option("--optimize", is_flag=True, help="Paint like --style-image by optimisation: slow, and the best there is.")
@optimizing_options
@force_option
@report_options
def command(
    source: Path,
    output: Path,
    painting: Painting,
    optimize: bool,
    optimizing: Optimizing,
    force: bool,
    as_json: bool,
) -> None:
    """Paint the picture INPUT and write OUTPUT, whose name says the format: .png, .jpg, .webp, .tif.

    \b
    videostyle image portrait.jpg painted.png --style starry-night --keep-color
    videostyle image portrait.jpg painted.png --optimize --style-image painting.jpg
    """
    from videostyle.pictures import check_picture_target, save_picture
    from videostyle.stats import Latency, RunReport, peak_rss_mb

    started = perf_counter()
    check_paths(source, output, force=force)
    check_picture_target(output, force=force)
    if optimizing.asked and not optimize:
        raise UsageError("--style-image and the options of optimisation need --optimize")
    painted, ran = _optimized(source, painting, optimizing) if optimize else _painted(source, painting)
    save_picture(output, painted, force=force)
    ended = perf_counter()
    height, width = painted.shape[:2]
    milliseconds = (ended - ran.began) * 1000
    report = RunReport(
        frames_in=1,
        frames_out=1,
        dropped=0,
        seconds=ended - started,
        fps=1 / (ended - started),
        latency_ms=Latency(milliseconds, milliseconds, milliseconds),
        size=(width, height),
        peak_rss_mb=peak_rss_mb(),
        output=str(output),
    ).on(ran)
    tell(f"{output}: {width}x{height} in {ended - ran.began:.2f} s ({ran.name}/{ran.precision}/{ran.device})")
    if as_json:
        emit(report.to_json())


def _painted(source: Path, painting: Painting) -> tuple[Image, _Ran]:
    """By a net of the library."""
    from videostyle.frame import Frame
    from videostyle.pictures import load_picture

    mix, bank = painting.choose()
    picture = load_picture(source, max_side=painting.max_side)
    engine, stylizer = painting.start(mix, bank)
    try:
        began = perf_counter()
        painted = stylizer(Frame(picture, 0, 0, Fraction(1), began)).image
        return painted, _Ran(engine.name, engine.precision, engine.device, began)
    finally:
        engine.close()


def _optimized(source: Path, painting: Painting, optimizing: Optimizing) -> tuple[Image, _Ran]:
    """By optimisation."""
    from videostyle.pictures import load_picture
    from videostyle.stylizer import keep_colors

    pictures, options = optimizing.resolve(painting)
    photo = load_picture(source, max_side=painting.max_side)
    optimizer = optimizing.load(pictures, options, painting.device, photo)
    began = perf_counter()
    start = None
    if options.start == "bank":
        start = library_net(painting.style, photo, optimizer.style_distance, optimizer.device)(photo)
    with PaintProgress() as progress:
        painted = optimizer.paint(photo, start=start, told=progress)
    painted = keep_colors(photo, painted) if painting.keep_color else painted
    return painted, _Ran("optimisation", optimizer.precision, optimizer.device, began)
