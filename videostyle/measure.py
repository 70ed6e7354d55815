"""A painted film measured against the one it was made from, frame by frame: memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np

from videostyle.errors import UsageError
from videostyle.frame import Frame, FrameSource, Image
from videostyle.perceptual import load_perceptual
from videostyle.pictures import load_picture
from videostyle.pipeline import Progress
from videostyle.quality import MEASURE_EXTRA, features, judge, load_lpips, resized, ssim, style_grams
from videostyle.scaling import scale
from videostyle.steadiness import Cost, Motion, Steadiness

JUDGED_EVERY = 15
"""Every how manieth frame is compared as a picture: neighbours say the same, and VGG takes its time."""
LONGEST_JUDGED = 640
"""Longer side in pixels at which a painting's style is compared: as in ``benchmarks.quality``."""
_ASPECT = 0.02

Judge = Callable[[Image, Image], dict[str, float]]
"""Photo and painting, uint8 (H, W, 3) of one size -> figures."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Figures of one painted film; None where there is nothing to tell from.

    warping_error, input_warping_error: by span, as ``videostyle.steadiness`` defines them; excess: their difference.
    trusted: mean share of a frame whose motion could be followed.
    static_noise, input_static_noise: deviation over time of what stands still, in [0, 1].
    similarity: means of what the judges say ("ssim", "lpips", "style", "content").
    ghosting, edge_sharpness: as of ``Cost``, where there was an untreated film. seconds, errors: for each frame with a
    predecessor, its time and its short warping error beside the input's.
    """

    frames: int
    size: tuple[int, int]
    warping_error: dict[str, float]
    input_warping_error: dict[str, float]
    excess: dict[str, float]
    trusted: float | None
    static_noise: float | None
    input_static_noise: float | None
    similarity: dict[str, float]
    ghosting: float | None
    edge_sharpness: float | None
    seconds: list[float]
    errors: dict[str, list[float]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Gathered:
    """What is known so far; ``untreated`` where there is such a film."""

    motion: Motion = field(default_factory=Motion)
    films: dict[str, Steadiness] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    trusted: list[float] = field(default_factory=list)
    judged: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=dict)

    def add(self, seconds: float, pictures: dict[str, Image]) -> None:
        step = self.motion(pictures["input"])
        for name, picture in pictures.items():
            found = self.films.setdefault(name, Steadiness()).add(step, picture)
            if "short" in found:
                self.errors.setdefault(name, []).append(found["short"])
        if step.trusted is not None:
            self.trusted.append(step.trusted)
            self.seconds.append(seconds)
        if "untreated" in pictures:
            self.cost.add(step, pictures["painting"], pictures["untreated"])


def measure(
    original: FrameSource,
    stylised: FrameSource,
    *,
    untreated: FrameSource | None = None,
    judges: Sequence[Judge] = (),
    progress: Callable[[Progress], None] = lambda step: None,
) -> Measurement:
    """Measure a painted film.

    original: what it was painted from, of the same length and proportions; it is scaled to the painting's size.
    untreated: the same film painted without smoothing, to tell what smoothing cost.
    judges: compare every ``JUDGED_EVERY``th frame as a picture. progress: called after each frame.
    Raises UsageError for films that do not fit together, SourceError for what cannot be read.
    """
    gathered = _Gathered()
    sources = {"input": original, "painting": stylised} | ({"untreated": untreated} if untreated else {})
    size = stylised.info.width, stylised.info.height
    for name, source in sources.items():
        width, height = source.info.width, source.info.height
        if abs(width * size[1] / (height * size[0]) - 1) > _ASPECT:
            raise UsageError(f"the {name} is {width}x{height} and the painting {size[0]}x{size[1]}: not the same film")
    began, count = perf_counter(), 0
    for frames in _together(sources):
        pictures = {name: scale(frame.image, size) for name, frame in frames.items()}
        gathered.add(frames["painting"].seconds, pictures)
        if count % JUDGED_EVERY == 0:
            for judged in judges:
                for name, value in judged(pictures["input"], pictures["painting"]).items():
                    gathered.judged.setdefault(name, []).append(value)
        count += 1
        progress(Progress(count, stylised.info.frames, 0, perf_counter() - began))
    return _conclude(gathered, count, size, [note for source in sources.values() for note in source.notes])


def _together(sources: dict[str, FrameSource]) -> Iterator[dict[str, Frame]]:
    """Frame by frame. Raises UsageError where one ends before the others, and where there is none at all."""
    count = 0
    for count, frames in enumerate(zip_longest(*sources.values()), start=1):
        ended = [name for name, frame in zip(sources, frames, strict=True) if frame is None]
        if ended:
            raise UsageError(
                f"the {' and the '.join(ended)} ended after {count - 1} frames and the rest goes on: "
                "compare films of the same frames"
            )
        yield dict(zip(sources, frames, strict=True))
    if count == 0:
        raise UsageError("there are no frames to compare")


def _conclude(gathered: _Gathered, count: int, size: tuple[int, int], notes: list[str]) -> Measurement:
    floor, painting = gathered.films["input"], gathered.films["painting"]
    return Measurement(
        frames=count,
        size=size,
        warping_error=painting.errors,
        input_warping_error=floor.errors,
        excess={name: error - floor.errors[name] for name, error in painting.errors.items()},
        trusted=fmean(gathered.trusted) if gathered.trusted else None,
        static_noise=painting.noise,
        input_static_noise=floor.noise,
        similarity={name: fmean(values) for name, values in gathered.judged.items()},
        ghosting=gathered.cost.ghosting,
        edge_sharpness=gathered.cost.sharpness,
        seconds=gathered.seconds,
        errors=gathered.errors,
        notes=notes,
    )


def find_judges(style_image: Path | None, perceptual: str | None) -> tuple[list[Judge], list[str]]:
    """Judges of single frames: SSIM and LPIPS where they can run, style and content where there is a picture; and a
    line for each that is left out.

    perceptual: as ``load_perceptual`` takes it. Raises UsageError where the picture's features cannot be computed.
    """
    judges: list[Judge] = []
    missing: list[str] = []
    blank = np.zeros((16, 16, 3), np.uint8)
    try:
        ssim(blank, blank)
        judges.append(lambda photo, painting: {"ssim": ssim(photo, painting)})
        lpips = load_lpips()
        judges.append(lambda photo, painting: {"lpips": lpips(photo, painting)})
    except UsageError as error:
        missing.append(f"left out: {error}")
    if style_image is not None:
        net = load_perceptual(perceptual)
        grams = style_grams(load_picture(style_image), net)

        def compare(photo: Image, painting: Image) -> dict[str, float]:
            sides = min(LONGEST_JUDGED, max(painting.shape))
            seen = [features(resized(picture, sides), net) for picture in (photo, painting)]
            return asdict(judge(seen[0], seen[1], grams))

        judges.append(compare)
    return judges, missing


def plot(measured: Measurement, path: Path) -> None:
    """Draw the short warping error over time into a picture; its suffix says which kind.

    Raises UsageError where matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UsageError(f"--plot needs matplotlib: {MEASURE_EXTRA}") from error
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for name, errors in measured.errors.items():
        axes.plot(measured.seconds, errors, label=name, linewidth=1)
    axes.set(xlabel="seconds", ylabel="warping error to the frame before", ylim=(0, None))
    axes.legend()
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written as a plot: {error}") from error
