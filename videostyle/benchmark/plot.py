"""A picture of measured rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videostyle.benchmark.advice import Row, sizes
from videostyle.errors import UsageError


def check(path: Path) -> None:
    """Find what would keep ``draw`` from writing ``path``, before anything is measured.

    Raises UsageError where matplotlib or the folder is missing, and for kinds of pictures that it cannot draw.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UsageError("--plot needs matplotlib: pip install 'videostyle[measure]'") from error
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise UsageError(f"{path} cannot be written as a plot: choose a name that ends in .png, .svg or .pdf")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: make the folder {path.parent} first")


def draw(rows: Sequence[Row], rate: float, path: Path) -> None:
    """Draw frames a second of each case at each size, and ``rate``; the suffix of ``path`` says which kind of picture.

    Raises UsageError where the file cannot be written.
    """
    from matplotlib.figure import Figure

    everywhere = sizes(rows)
    cases = list(dict.fromkeys(row.case for row in rows))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(cases)
    for number, case in enumerate(cases):
        mine = [row for row in rows if row.case == case]
        places = [everywhere.index(row.size) + (number - (len(cases) - 1) / 2) * width for row in mine]
        label = f"{case.engine} {case.precision} {case.device}"
        axes.bar_label(axes.bar(places, [row.fps for row in mine], width, label=label), fmt="%.3g", fontsize=7)
    axes.axhline(rate, color="black", linewidth=1, linestyle=":")
    axes.set_xticks(range(len(everywhere)), [f"{size[0]}x{size[1]}" for size in everywhere])
    axes.set(ylabel="frames a second")
    axes.legend(fontsize=8)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written as a plot: {error}") from error
