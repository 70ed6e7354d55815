"""python -m benchmarks.smoothing: what smoothing costs a frame, and a stream.

search: motion since the frame before in the whole of the small picture, and opencv: the same by OpenCV on one thread,
in turns with it. see: a photo made small. follow: that search, where anything moves, and what it is worth, in the lanes
that paint. host, card: the picture put together, in order, there; on a card, where the engine runs on one. Milliseconds
of one core, median of the frames after the first ten, of the same paintings in turns. alone: what a frame takes in a
stream whose paintings are there already, so that all cores do nothing else, less what it takes without smoothing; the
best of three. Then whole streams, as files are painted: frames a second with smoothing and without, in turns, the best
of three.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from videostyle.compositor import HostCompositor, compositor
from videostyle.dense_search import DenseSearch
from videostyle.engines import StyleEngine, load_engine
from videostyle.frame import Frame, Image
from videostyle.keyframes.film import Film
from videostyle.quality import covered
from videostyle.styles import StyleBank, StyleMix
from videostyle.stylizer import Stylizer
from videostyle.temporal import Smoother

WARM, TURNS = 10, 3


def read(clip: str, size: tuple[int, int], count: int) -> list[Frame]:
    """The first frames of a clip, cut and scaled to one size."""
    found: list[Frame] = []
    for frame in Film(clip):
        found.append(replace(frame, image=covered(frame.image, *size)))
        if len(found) == count:
            break
    return found


def parts(frames: list[Frame], engine: StyleEngine, bank: StyleBank, mix: StyleMix) -> dict[str, float]:
    """Milliseconds of the parts of smoothing."""
    vector = bank.vector(mix)
    paintings = [engine(frame.image[None], vector)[0] for frame in frames]
    canvases = {"host": HostCompositor()} | ({"card": compositor(engine.device)} if engine.device != "cpu" else {})
    smoothers = {name: Smoother(1.0, canvas) for name, canvas in canvases.items()}
    taken: dict[str, list[float]] = {"see": [], "follow": [], **{name: [] for name in smoothers}}
    for number, (frame, painting) in enumerate(zip(frames, paintings, strict=True)):
        order = list(smoothers)[:: 1 if number % 2 else -1]
        for name in order:
            first = time.perf_counter()
            seen = smoothers[name].see(frame.image)
            began = time.perf_counter()
            taken["see"] += [1000 * (began - first)] * (number >= WARM)
            seen = smoothers[name].follow(seen)
            followed = time.perf_counter()
            smoothers[name].blend(painting, seen)
            taken["follow"] += [1000 * (followed - began)] * (number >= WARM)
            taken[name] += [1000 * (time.perf_counter() - followed)] * (number >= WARM)
    return {name: median(values) for name, values in taken.items()}


def searches(frames: list[Frame]) -> dict[str, float]:
    """Milliseconds of motion looked for there and back, by videostyle and by OpenCV with the same settings."""
    import cv2 as opencv

    cv2: Any = opencv  # its type stubs lack half of what is used here
    smoother, ours, theirs = (
        Smoother(1.0),
        DenseSearch(),
        [cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST) for _ in range(2)],
    )
    theirs[0].setFinestScale(0)
    theirs[0].setPatchStride(5)
    theirs[0].setGradientDescentIterations(8)
    theirs[0].setVariationalRefinementIterations(3)
    theirs[0].setVariationalRefinementAlpha(60)
    theirs[1].setFinestScale(1)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    taken: dict[str, list[float]] = {"search": [], "opencv": []}
    for number, frame in enumerate(frames):
        seen = smoother.see(frame.image)
        if seen.before is None:
            continue
        now, then = seen.now.grey, seen.before.grey
        for name in list(taken)[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            if name == "search":
                ours(now, then)
            else:
                theirs[0].calc(now, then, None)
                theirs[1].calc(then, now, None)
            taken[name] += [1000 * (time.perf_counter() - began)] * (number >= WARM)
    cv2.setNumThreads(threads)
    return {name: median(values) for name, values in taken.items()}


def rate(frames: list[Frame], stylizer: Stylizer) -> float:
    """Frames a second of a stream."""
    began = time.perf_counter()
    count = sum(1 for _ in stylizer.stream(frames))
    return count / (time.perf_counter() - began)


def rates(frames: list[Frame], engine: StyleEngine, bank: StyleBank, mix: StyleMix) -> dict[str, float]:
    found = {"off": 0.0, "auto": 0.0}
    for _ in range(TURNS):
        for smooth in found:
            found[smooth] = max(found[smooth], rate(frames, Stylizer(engine, bank, mix, smooth=smooth)))
    return found


class Ready:
    """An engine whose paintings are there already."""

    def __init__(self, engine: StyleEngine, paintings: dict[int, Image]) -> None:
        self._engine, self._paintings = engine, paintings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def __call__(self, photos: Image, vector: NDArray[np.float32]) -> Image:
        return self._paintings[photos.ctypes.data][None]


def alone(frames: list[Frame], engine: StyleEngine, bank: StyleBank, mix: StyleMix) -> float:
    """Milliseconds a frame that smoothing takes where all cores are free for it."""
    vector = bank.vector(mix)
    ready: Any = Ready(engine, {f.image.ctypes.data: engine(f.image[None], vector)[0] for f in frames})
    fps = rates(frames, ready, bank, mix)
    return 1000 / fps["auto"] - 1000 / fps["off"]


def main() -> None:
    shared = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")) / "clips"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clips",
        nargs="+",
        default=[str(shared / name) for name in ("01_webcam_woman_signing.mkv", "06_street_bikes_traffic.mp4")],
        metavar="CLIP",
        help="files, or images:FOLDER",
    )
    parser.add_argument("--sizes", nargs="+", default=["1280x720"], metavar="WxH")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--bank", type=Path, default=Path("models/paintings.safetensors"))
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bank, mix = StyleBank.load(args.bank), StyleMix(((args.style, 1.0),))
    engine = load_engine(bank, engine=args.engine, precision=args.precision, device=args.device, throughput=True)
    rows = []
    for clip in args.clips:
        for size in args.sizes:
            width, height = map(int, size.split("x"))
            frames = read(clip, (width, height), args.frames)
            row: dict[str, Any] = {"clip": Path(clip).name, "size": size, "frames": len(frames)}
            row["ms"] = searches(frames) | parts(frames, engine, bank, mix)
            row["ms"]["alone"] = alone(frames, engine, bank, mix)
            row["fps"] = rates(frames, engine, bank, mix)
            rows.append(row)
            ms = "  ".join(f"{name} {value:.1f} ms" for name, value in row["ms"].items())
            fps = "  ".join(f"{name} {value:.1f} fps" for name, value in row["fps"].items())
            print(f"{row['clip']:32} {size:10} {ms}  {fps}", file=sys.stderr, flush=True)
    if args.json:
        about = {"machine": describe(engine.device), "engine": engine.name, "precision": engine.precision}
        print(json.dumps({**about, "rows": rows}))


if __name__ == "__main__":
    main()
