"""``videostyle bench``."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from videostyle.cli.common import SPINS, Painting, check_paths, emit, force_option, report_options, tell
from videostyle.engines import DEVICES, ENGINES, PRECISIONS

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from videostyle.benchmark.advice import Row
    from videostyle.benchmark.bench import Bench, Plan

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
MOST = 16384
BUSY = 0.25
"""Processes that wanted to run before the start, for each core, from which on figures are told to be too low."""


def _parse_sizes(context: click.Context, option: click.Parameter, value: str) -> list[tuple[int, int]]:
    """(width, height) of each, the smallest first."""
    found = set()
    for name in value.split(","):
        numbers = re.fullmatch(r"(\d{1,5})x(\d{1,5})", name.strip())
        size = (int(numbers[1]), int(numbers[2])) if numbers else SIZES.get(name.strip())
        if size is None or not 0 < min(size) <= max(size) <= MOST:
            raise click.BadParameter(f"{name!r} is none of {', '.join(SIZES)}, nor WIDTHxHEIGHT up to {MOST}")
        found.add(size)
    return sorted(found, key=math.prod)


@click.command()
@click.option("--sizes", callback=_parse_sizes, default=",".join(SIZES), show_default=True, help="Of the pictures.")
@click.option("--style", metavar="MIX", help="Whose bank to run. Left out: the library's first style.")
@click.option("--bank", type=click.Path(path_type=Path), metavar="FILE", help="A bank that is not in the library.")
@click.option("--engine", type=click.Choice(["all", *ENGINES]), default="all", show_default=True)
@click.option("--device", type=click.Choice(["all", *DEVICES[1:]]), default="all", show_default=True)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 60), default=1.5, show_default=True, help="How long each case is measured."
)
@click.option(
    "--fps", type=click.FloatRange(1, 1000), default=30.0, show_default=True, help="What live pictures should reach."
)
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw what was measured.")
@force_option
@report_options
def command(picture: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Measure how fast this computer paints: every engine and precision, and what to choose.

    Each runs in a process of its own, one after the other: a minute or two, best with nothing else running.

    \b
    videostyle bench
    videostyle bench --sizes 720p,3840x2160 --engine openvino --plot speed.png
    """
    from videostyle.benchmark import plot
    from videostyle.benchmark.bench import Bench

    if picture is not None:
        check_paths(picture.parent, picture, force=force)
        plot.check(picture)
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # as whatever else runs the net
    told = Told()
    bench = Bench(_plan(**options), told)
    try:
        with told:
            bench.run()
    finally:
        if bench.rows and not as_json:
            show(bench)
    if picture is not None:
        plot.draw(bench.rows, bench.plan.rate, picture)
    if as_json:
        emit(bench.to_json())


def _plan(
    sizes: list[tuple[int, int]],
    style: str | None,
    bank: Path | None,
    engine: str,
    device: str,
    seconds: float,
    fps: float,
) -> Plan:
    """What the options ask for. Raises StyleError for styles and banks that are not there."""
    from videostyle.benchmark.bench import Plan
    from videostyle.styles import StyleBank, parse_mix

    if bank is None:
        mix, opened = Painting(style, 1.0, False, None, "auto", "auto", "auto").choose()
        style = str(mix)
    else:
        opened = StyleBank.load(bank)
        style = opened.names[-1] if style is None else style
        opened.vector(parse_mix(style))
    engines = list(ENGINES) if engine == "all" else [engine]
    devices = DEVICES[1:] if device == "all" else [device]
    return Plan(str(bank) if bank else None, style, opened.config, sizes, seconds, fps, engines, devices)


class Told:
    """Says on stderr what is being measured: a bar where it is a terminal, else a line each."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task("starting", total=None)
            self._bar.start()
        return self

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if self._bar is None:
            tell(what if total is None else f"{done + 1} of {total}: {what}")
            return
        (task,) = self._bar.task_ids
        self._bar.update(task, description=what, completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def show(bench: Bench) -> None:
    """What was measured, what cannot run, and what to make of it, on stdout."""
    from rich.console import Console

    from videostyle.benchmark.machine import describe

    console = Console(markup=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    plan, machine = bench.plan, describe()
    net = f"{plan.config.kind} of {plan.config.channels} channels and {plan.config.blocks} blocks"
    console.print(f"{net} ({plan.bank or plan.style}) on {machine['device']}, {machine['cores']} cores")
    console.print(table(bench.rows), soft_wrap=False)
    limits = [f"{gops:.0f} in {precision} on {where}" for (where, precision), gops in bench.limits.items() if gops]
    console.print(f"the limit is what it multiplies matrices with, in Gop/s: {', '.join(limits) or 'unknown'}")
    if bench.load is not None and bench.load > BUSY * int(machine["cores"]):
        console.print(f"other programs were running (load {bench.load:.1f}): figures may be too low")
    for each in bench.lacking:
        case = [each.engine, "/".join(each.precisions) if len(each.precisions) < len(PRECISIONS) - 1 else ""]
        size = f"at {each.size[0]}x{each.size[1]}" if each.size else ""
        left_out = " ".join(part for part in ("not", *case, "on", each.device, size) if part)
        console.print(f"{left_out}: {each.reason}", style="dim")
    for line in bench.advise().lines:
        console.print(line, style="bold")


def table(rows: Sequence[Row]) -> Table:
    """One line a row, the smallest size first, in the 80 columns of a terminal."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("size", "engine"):
        shown.add_column(name, no_wrap=True)
    cards = any(row.card_mb is not None for row in rows)
    memory = ("peak\nMB", "card\nMB") if cards else ("peak\nMB",)
    for name in ("fps", "median\nms", "p95\nms", *memory, "Gop/s", "of the\nlimit"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: math.prod(row.size)):
        case = (f"{row.size[0]}x{row.size[1]}", f"{row.engine}/{row.precision}/{row.device}")
        times = [f"{number:.1f}" for number in (row.fps, row.median_ms, row.p95_ms)]
        rest = [row.peak_rss_mb, *([row.card_mb] if cards else []), row.gops]
        shares = "-" if row.share is None else f"{row.share:.0%}"
        shown.add_row(*case, *times, *("-" if number is None else f"{number:.0f}" for number in rest), shares)
    return shown
