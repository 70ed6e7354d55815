"""``videostyle export BANK OUT``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from videostyle.cli.common import emit, force_option, report_options, tell
from videostyle.errors import UsageError
from videostyle.export import FIXED_SIZE, FORMATS, Report
from videostyle.library import Library
from videostyle.styles import StyleBank, StyleCard, is_bank, parse_mix

PRECISIONS = tuple(dict.fromkeys(precision for row in FORMATS.values() for precision in row.precisions))


def _parse_size(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no size: write WIDTHxHEIGHT, like 640x360")
    return int(found[1]), int(found[2])


@click.command()
@click.argument("bank", metavar="BANK")
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), required=True, help="What reads it.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Its numbers; by default the format's most exact.")
@click.option("--style", metavar="MIX", help="Bake this in; without it style vectors are an input.")
@click.option(
    "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Of the style that is baked in."
)
@click.option(
    "--size",
    callback=_parse_size,
    metavar="WxH",
    help=f"Of the pictures, for formats that need it [default: {FIXED_SIZE[0]}x{FIXED_SIZE[1]}].",
)
@force_option
@report_options
def command(
    bank: str,
    output: Path,
    format_: str,
    precision: str | None,
    style: str | None,
    strength: float,
    size: tuple[int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write BANK as a file that other programs run without videostyle, and compare it with the original.

    BANK is a style bank, a checkpoint of PyTorch's fast_neural_style example, or a style of the library, which stands
    for the bank that it belongs to. OUT.json beside OUT says what goes in and out and holds the style vectors.

    \b
    videostyle export starry-night paintings.pte --format executorch --precision int8 --size 1280x720
    """
    from videostyle.export import export

    report = export(
        _find(bank),
        output,
        format=format_,
        precision=precision,
        mix=parse_mix(style) if style is not None else None,
        strength=strength,
        size=size,
        force=force,
    )
    _tell(report)
    if as_json:
        emit(report.to_json())


def _find(name: str) -> StyleBank:
    path = Path(name)
    if path.is_file():
        if is_bank(path):
            return StyleBank.load(path)
        from videostyle.fast_neural_style import read_checkpoint

        return read_checkpoint(path, StyleCard(path.stem))
    if path.suffix:
        raise UsageError(f"{path}: there is no such file")
    library = Library()
    return library.load(library.find(name).shelved.path)


def _tell(report: Report) -> None:
    size = "any size" if report.size is None else f"{report.size[0]}x{report.size[1]}"
    tell(f"{report.output}: {report.format}/{report.precision}, {size}, {report.bytes:,} bytes")
    tell(*(f"  {name}: {meaning}" for name, meaning in report.tensors.items()))
    tell(
        f"  style: {report.style}" if report.style else f"  style vectors ({len(report.styles)}): {report.output}.json"
    )
    for found in report.differences:
        tell(
            f"  at {found.size[0]}x{found.size[1]} its colours lie {found.mean:.3f} of 255 from PyTorch's on average, "
            f"{found.max} at most"
        )
