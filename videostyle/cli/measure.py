"""``videostyle measure ORIGINAL STYLISED``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videostyle.cli.common import check_paths, emit, force_option, report_options, tell

if TYPE_CHECKING:
    from videostyle.measure import Measurement

SPANS = {"short": "to the frame before", "long": "to 5 frames before", "first": "to the scene's first frame"}


@click.command()
@click.argument("original", metavar="ORIGINAL")
@click.argument("stylised", metavar="STYLISED")
@click.option("--style-image", type=click.Path(path_type=Path), metavar="PICTURE", help="Measure style against it.")
@click.option("--untreated", metavar="VIDEO", help="The same painted without smoothing: measures what that cost.")
@click.option("--perceptual", metavar="FILE", help="VGG weights for the style distance. Left out: torchvision's.")
@click.option(
    "--plot", "picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw steadiness over time."
)
@force_option
@report_options
def command(
    original: str,
    stylised: str,
    style_image: Path | None,
    untreated: str | None,
    perceptual: str | None,
    picture: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure the painting STYLISED of the video ORIGINAL: how steady, how like the film, how like the style.

    \b
    videostyle measure holiday.mp4 painted.mp4
    videostyle measure holiday.mp4 painted.mp4 --style-image starry-night.jpg --plot steadiness.png
    """
    from videostyle.cli.progress import RunProgress
    from videostyle.measure import find_judges, measure, plot
    from videostyle.sources import open_source

    if picture is not None:
        check_paths(original, picture, force=force)
    with ExitStack() as ends:
        films = [open_source(spec) for spec in (original, stylised, *([untreated] if untreated else []))]
        for film in films:
            ends.callback(film.close)
        judges, missing = find_judges(style_image, perceptual)
        tell(*(f"note: {line}" for line in missing))
        with RunProgress() as progress:
            measured = measure(*films[:2], untreated=films[2] if untreated else None, judges=judges, progress=progress)
    if picture is not None:
        plot(measured, picture)
    tell(*lines(measured))
    if as_json:
        emit(measured.to_json() | {"notes": [*measured.notes, *missing]})


def lines(measured: Measurement) -> list[str]:
    """The figures for people."""
    told = [f"{measured.frames} frames, {measured.size[0]}x{measured.size[1]}", *measured.notes]
    for name, error in measured.warping_error.items():
        floor, excess = measured.input_warping_error[name], measured.excess[name]
        told.append(f"warping error {SPANS[name]}: {error:.4f}, the original's own {floor:.4f}, excess {excess:.4f}")
    if measured.trusted is not None:
        told.append(f"motion could be followed in {measured.trusted:.0%} of the picture")
    if measured.static_noise is not None and measured.input_static_noise is not None:
        told.append(
            f"noise of what stands still: {measured.static_noise:.4f}, the original's {measured.input_static_noise:.4f}"
        )
    told += [f"{name}: {value:.3f}" for name, value in measured.similarity.items()]
    if measured.ghosting is not None:
        told.append(f"ghosting in what has just appeared: {measured.ghosting:.4f}")
    if measured.edge_sharpness is not None:
        told.append(f"sharpness of moving edges: {measured.edge_sharpness:.1%} of the untreated film's")
    return told
