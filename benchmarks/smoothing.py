"""python -m benchmarks.smoothing: what smoothing costs a frame, and a stream.

follow: motion since the frame before, in the lanes that paint. blend: the picture put together, in order, "host" by
OpenCV and "card" by PyTorch, where the engine runs on one; milliseconds, median of the frames after the first ten, of
the same paintings in turns. Then whole streams, as files are painted: frames a second with smoothing and without, in
turns, the best of three.
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

from benchmarks.machine import describe
from videostyle.compositor import HostCompositor, compositor
from videostyle.engines import StyleEngine, load_engine
from videostyle.frame import Frame
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
    taken: dict[str, list[float]] = {"follow": [], **{name: [] for name in smoothers}}
    for number, (frame, painting) in enumerate(zip(frames, paintings, strict=True)):
        order = list(smoothers)[:: 1 if number % 2 else -1]
        for name in order:
            seen = smoothers[name].see(frame.image)
            began = time.perf_counter()
            seen = smoothers[name].follow(seen)
            followed = time.perf_counter()
            smoothers[name].blend(painting, seen)
            taken["follow"] += [1000 * (followed - began)] * (number >= WARM)
            taken[name] += [1000 * (time.perf_counter() - followed)] * (number >= WARM)
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
            row |= {"ms": parts(frames, engine, bank, mix), "fps": rates(frames, engine, bank, mix)}
            rows.append(row)
            ms = "  ".join(f"{name} {value:.1f} ms" for name, value in row["ms"].items())
            fps = "  ".join(f"{name} {value:.1f} fps" for name, value in row["fps"].items())
            print(f"{row['clip']:32} {size:10} {ms}  {fps}", file=sys.stderr, flush=True)
    if args.json:
        about = {"machine": describe(engine.device), "engine": engine.name, "precision": engine.precision}
        print(json.dumps({**about, "rows": rows}))


if __name__ == "__main__":
    main()
