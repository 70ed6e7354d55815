"""What to make of measured rows: which engine to take, and how large a picture it holds a rate with. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from videostyle.engines.choice import Choice, best

Size = tuple[int, int]
MARGIN = 0.97
"""Share of a frame's time that a size to try may be expected to take."""
UNIT = (16, 9)
"""Sizes to try are multiples of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One engine, precision and device at one size (width, height), one picture at a time.

    fps: pictures a second. median_ms, p95_ms: of a picture. peak_rss_mb: the process's largest resident memory, 10^6
    bytes. card_mb: what it took of a CUDA card, else None. gops: operations of the network's convolutions a second,
    in 10^9. share: of what the device multiplies matrices with in that precision, None where nothing tells.
    """

    engine: str
    precision: str
    device: str
    size: Size
    frames: int
    fps: float
    median_ms: float
    p95_ms: float
    peak_rss_mb: float | None
    card_mb: float | None
    gops: float
    share: float | None

    @property
    def case(self) -> Choice:
        return Choice(self.engine, self.precision, self.device)


def sizes(rows: Sequence[Row]) -> list[Size]:
    """All sizes in rows, the smallest first."""
    return sorted({row.size for row in rows}, key=math.prod)


def fastest(rows: Sequence[Row], size: Size, rate: float) -> Row:
    """The row to take at a size: the fastest, or one of more exact numbers that is hardly slower.

    Where some reach ``rate`` frames a second, only they are looked at.
    """
    here = {row.case: row for row in rows if row.size == size}
    able = {case: row for case, row in here.items() if row.fps >= rate} or here
    return able[best({case: row.median_ms for case, row in able.items()})]


def holding(rows: Sequence[Row], rate: float) -> Row | None:
    """Of what reaches ``rate`` frames a second, the one with the largest pictures; None where nothing does."""
    able = [row for size in sizes(rows) if (row := fastest(rows, size, rate)).fps >= rate]
    return able[-1] if able else None


def next_to_try(rows: Sequence[Row], rate: float) -> tuple[Choice, Size] | None:
    """What to measure to know better how large a picture holds ``rate``; None where enough is known.

    A frame's time is taken to grow in a line with its pixels, through the nearest sizes above and below, or through
    nothing where all that was measured is too slow.
    """
    bests = [fastest(rows, size, rate) for size in sizes(rows)]
    slow = [row for row in bests if row.fps < rate]
    if not slow:
        return None
    above, below = slow[0], holding(rows, rate)
    near = (0.0, 0.0) if below is None else (float(math.prod(below.size)), 1000 / below.fps)
    slope = (1000 / above.fps - near[1]) / (math.prod(above.size) - near[0])
    pixels = near[0] + (MARGIN * 1000 / rate - near[1]) / slope if slope > 0 else 0.0
    steps = math.floor(math.sqrt(max(0.0, pixels) / math.prod(UNIT)))
    size = (UNIT[0] * steps, UNIT[1] * steps)
    least = UNIT if below is None else below.size
    return (above.case, size) if math.prod(least) < math.prod(size) < math.prod(above.size) else None


@dataclass(frozen=True, slots=True)
class Advice:
    """at: what to take at each size. holds: what holds the rate with the largest pictures, None where nothing does."""

    at: tuple[Row, ...]
    holds: Row | None
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        keys = ("engine", "precision", "device", "size", "fps")
        chosen = [{key: asdict(row)[key] for key in keys} for row in (*self.at, *([self.holds] if self.holds else []))]
        return {
            "at": chosen[: len(self.at)],
            "holds": chosen[-1] | {"max_side": max(self.holds.size)} if self.holds else None,
            "lines": list(self.lines),
        }


def recommend(rows: Sequence[Row], wanted: Sequence[Size], rate: float, auto: Choice | None) -> Advice:
    """What to take at the sizes ``wanted`` for live pictures of ``rate`` frames a second.

    auto: what is chosen without options, None if unknown.
    """
    at = tuple(fastest(rows, size, rate) for size in sizes(rows) if size in wanted)
    holds = holding(rows, rate)
    told = []
    for row in at:
        verdict = "" if row.fps >= rate else f", short of {rate:g}"
        told.append(f"at {_shown(row.size)} take {options(row.case)}: {row.fps:.1f} fps{verdict}")
    if holds is None:
        told.append(f"nothing that was measured holds {rate:g} fps: try smaller --sizes")
    elif holds is not at[-1]:
        told.append(
            f"{rate:g} fps hold up to {_shown(holds.size)}: videostyle video --max-side {max(holds.size)}; "
            "videostyle live finds its size by itself"
        )
    if at and auto is not None:
        same = all(row.case == auto for row in at)
        chosen = f"{auto.engine} in {auto.precision} on {auto.device}"
        told.append(f"without options it is {chosen}" + ("" if same else ": name what is faster"))
    if at:
        told.append("all this is the net alone: reading, holding still, showing and writing frames come on top")
    return Advice(at, holds, tuple(told))


def options(case: Choice) -> str:
    """The options that choose a case."""
    where = "" if case.device == "cpu" else f" --device {case.device}"
    return f"--engine {case.engine} --precision {case.precision}{where}"


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
