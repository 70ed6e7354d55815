"""``videostyle keyframes INPUT OUTPUT``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from videostyle.cli.common import Painting, check_paths, encoding_options, force_option, report_options, tell_report
from videostyle.cli.keyframes_job import Job
from videostyle.cli.optimizing import Optimizing, optimizing_options
from videostyle.keyframes.options import FILLS, FLOWS, KeyframeOptions
from videostyle.optimize_options import PRECISIONS


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no list of frame numbers like 0,25,60") from error


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@optimizing_options
@click.option("--style", metavar="MIX", help="Of the library: what --start bank begins with, and --fill bank learns.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="How much of the style is asked for; 0 is the film.",
)
@click.option("--keep-color", is_flag=True, help="Take the brush strokes of the style, not its colours.")
@click.option(
    "--max-side", type=click.IntRange(min=16), metavar="N", help="Scale down so that no side is above N pixels."
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], show_default=True, help="Of the optimisation."
)
@click.option("--device", metavar="auto|cpu|cuda|cuda:N|mps", default="auto", show_default=True, help="Where it runs.")
@click.option("--every", type=click.IntRange(min=1), metavar="N", help="Every Nth frame of a scene is a keyframe.")
@click.option("--at", callback=_numbers, metavar="N,N,...", help="These frames are keyframes, counted from 0.")
@click.option(
    "--painted",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keyframes that you painted: PNG files with frame numbers in their names. Nothing is optimised then.",
)
@click.option(
    "--consistency",
    type=click.FloatRange(min=0),
    default=KeyframeOptions().consistency,
    show_default=True,
    help="How firmly keyframes are held to those before.",
)
@click.option("--flow", type=click.Choice(FLOWS), default=FLOWS[0], show_default=True, help="How motion is found.")
@click.option(
    "--fill",
    type=click.Choice(FILLS),
    default=FILLS[0],
    show_default=True,
    help="What no keyframe shows: the nearer guess, some iterations, or the library's net tuned on the keyframes.",
)
@click.option("--work", type=click.Path(path_type=Path), help="Folder of what is done  [default: OUTPUT's, .work]")
@click.option(
    "--flow-cache",
    type=click.IntRange(min=0),
    default=KeyframeOptions().flow_cache,
    show_default=True,
    metavar="MB",
    help="How much motion the work folder may hold.",
)
@click.option("--preview", type=float, metavar="SECONDS", help="A quick look: so much of the film, small and rough.")
@encoding_options
@force_option
@report_options
def command(
    source: str,
    output: Path,
    optimizing: Optimizing,
    style: str | None,
    strength: float,
    keep_color: bool,
    max_side: int | None,
    precision: str,
    device: str,
    force: bool,
    as_json: bool,
    encoding: dict[str, Any],
    **wishes: Any,
) -> None:
    """Paint the video INPUT like a picture and write OUTPUT: slowly, and better than any net does.

    Some frames, the keyframes, are painted by optimisation; those between are carried along the motion. Run it again
    after an interruption: it goes on, and ends as if there had been none.

    \b
    videostyle keyframes holiday.mp4 painted.mp4 --style-image painting.jpg
    videostyle keyframes holiday.mp4 look.mp4 --style-image painting.jpg --preview 2
    videostyle keyframes holiday.mp4 painted.mp4 --painted FRAMES
    """
    painting = Painting(style, strength, keep_color, max_side, "auto", precision, device)
    check_paths(source, output, force=force)
    report = Job(source, output, optimizing, painting, KeyframeOptions(**wishes), force, encoding).run()
    tell_report(report, as_json=as_json)
