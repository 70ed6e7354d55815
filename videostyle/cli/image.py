"""``videostyle image INPUT OUTPUT``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from time import perf_counter

import click

from videostyle.cli.common import Painting, check_paths, emit, force_option, painting_options, report_options, tell


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@painting_options
@force_option
@report_options
def command(source: Path, output: Path, painting: Painting, force: bool, as_json: bool) -> None:
    """Paint the picture INPUT and write OUTPUT, whose name says the format: .png, .jpg, .webp, .tif.

    \b
    videostyle image portrait.jpg painted.png --style starry-night --keep-color
    """
    from videostyle.frame import Frame
    from videostyle.pictures import check_picture_target, load_picture, save_picture
    from videostyle.stats import Latency, RunReport, peak_rss_mb

    started = perf_counter()
    check_paths(source, output, force=force)
    check_picture_target(output, force=force)
    mix, bank = painting.choose()
    picture = load_picture(source, max_side=painting.max_side)
    engine, stylizer = painting.start(mix, bank)
    try:
        began = perf_counter()
        painted = stylizer(Frame(picture, 0, 0, Fraction(1), began)).image
        save_picture(output, painted, force=force)
        ended = perf_counter()
    finally:
        engine.close()
    height, width = painted.shape[:2]
    milliseconds = (ended - began) * 1000
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
    ).on(engine)
    tell(f"{output}: {width}x{height} in {ended - began:.2f} s ({report.engine}/{report.precision}/{report.device})")
    if as_json:
        emit(report.to_json())
