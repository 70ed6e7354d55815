"""python -m benchmarks.optimize: painting by optimisation: how good, how soon, and in how much memory.

quality: each style on one photo at 640x360 with the default options, judged as ``benchmarks.quality`` does, beside the
    bank's own painting of the same photo where it has the style.
speed: 300 iterations at one size from the photo, in pixels as in the literature, beside what the product does: small
    sizes first, preconditioned, started from the photo and from the library's nearest style, with fewer and fewer
    iterations. "reached": its error (judged style and content, by the weights of the loss) is no larger.
memory: peak resident memory of a painting at 3840x2160, a few iterations of it, in a process of its own.

Nothing is warmed up but the network, by one evaluation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from videostyle.frame import Image
from videostyle.optimize import PictureOptimizer, Step
from videostyle.optimize_bank import BankNet, nearest
from videostyle.optimize_options import PaintOptions, StylePicture
from videostyle.perceptual import PerceptualNet, load_perceptual
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import Judgement, covered, features, judge, resized, style_grams
from videostyle.stats import peak_rss_mb
from videostyle.styles import StyleBank, StyleMix

PLAIN_ITERATIONS = 300
ULTRA_HD = (3840, 2160)


class Bench:
    """What all parts share. side: longer side of style pictures when paintings are judged, 512 for 640 pixels."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.photo = covered(load_picture(args.shared / "photos/research" / args.photo), *args.size)
        self.judging = load_perceptual(self.weights)
        self.side = round(0.8 * max(args.size))
        self.bank = StyleBank.load(args.bank)

    @property
    def weights(self) -> Path:
        return Path(self.args.perceptual or self.args.shared / "weights/vgg16-features.safetensors")

    def picture(self, style: str) -> Path:
        return Path(self.args.shared / f"styles/{style}.jpg")

    def optimizer(self, style: str, options: PaintOptions) -> PictureOptimizer:
        net: PerceptualNet = load_perceptual(self.weights, deepest=options.deepest)
        found = PictureOptimizer([StylePicture(self.picture(style))], options, net, device=self.args.device)
        found.style_distance(resized(self.photo, 64))
        return found

    def judged(self, painting: Image, style: str) -> Judgement:
        grams = style_grams(load_picture(self.picture(style)), self.judging, self.side)
        return judge(features(self.photo, self.judging), features(painting, self.judging), grams)

    def by_bank(self, style: str) -> Image | None:
        """The bank's painting, where it has that style."""
        if style not in self.bank.names:
            return None
        return BankNet(self.bank, self.bank.vector(StyleMix(((style, 1.0),))))(self.photo)


def quality(bench: Bench) -> dict[str, Any]:
    """Style and content of each style's painting, seconds, and the bank's own."""
    rows = {}
    for style in bench.args.styles:
        optimizer = bench.optimizer(style, options_of(bench.args))
        began = time.perf_counter()
        painting = optimizer.paint(bench.photo)
        seconds = time.perf_counter() - began
        own = bench.by_bank(style)
        rows[style] = {**asdict(bench.judged(painting, style)), "seconds": seconds}
        if own is not None:
            rows[style] |= {f"bank_{key}": value for key, value in asdict(bench.judged(own, style)).items()}
        tell(style, rows[style])
        if bench.args.pictures:
            bench.args.pictures.mkdir(parents=True, exist_ok=True)
            save_picture(bench.args.pictures / f"{style}.png", painting, force=True)
    return rows


def speed(bench: Bench) -> dict[str, Any]:
    """The plain run, and the product's from two starts with less and less time, all of one style."""
    style, options = bench.args.styles[0], options_of(bench.args)
    plain = replace(options, iterations=PLAIN_ITERATIONS, plateau=0.0, precondition=0.0, smallest=10_000)
    rows = {"plain": run(bench, style, plain)}
    for start in ("content", "bank"):
        for iterations in (*bench.args.budgets, options.iterations):
            rows[f"{start} {iterations}"] = run(bench, style, replace(options, start=start, iterations=iterations))
    for name, row in rows.items():
        row["time"], row["reached"] = row["seconds"] / rows["plain"]["seconds"], row["error"] <= rows["plain"]["error"]
        tell(name, row)
    return rows


def run(bench: Bench, style: str, options: PaintOptions) -> dict[str, Any]:
    """One painting: seconds, iterations by size, the last loss, its judgement, and both by the loss's weights."""
    optimizer = bench.optimizer(style, options)
    last: dict[int, Step] = {}
    start = None
    began = time.perf_counter()
    if options.start == "bank":
        chosen = nearest(bench.bank, bench.photo, optimizer.style_distance)
        start = BankNet(bench.bank, bench.bank.vector(StyleMix(((chosen, 1.0),))))(bench.photo)
    painting = optimizer.paint(bench.photo, start=start, told=lambda step: last.update({step.level: step}))
    seconds = time.perf_counter() - began
    judged = bench.judged(painting, style)
    error = options.style_weight * judged.style + options.content_weight * judged.content
    iterations = [step.iteration for step in last.values()]
    loss = list(last.values())[-1].loss
    return {"seconds": seconds, "iterations": iterations, "loss": loss, **asdict(judged), "error": error}


def memory(bench: Bench) -> dict[str, Any]:
    """In a process of its own: peaks are never forgotten."""
    command = [sys.executable, "-m", "benchmarks.optimize", *sys.argv[1:], "--case"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    tell("memory", found)
    return found


def memory_case(args: argparse.Namespace) -> dict[str, Any]:
    """The largest size alone: it is what takes the memory."""
    bench = Bench(args)
    options = replace(options_of(args), iterations=args.memory_iterations, smallest=max(ULTRA_HD))
    photo = covered(load_picture(args.shared / "photos/research" / args.photo), *ULTRA_HD)
    began = time.perf_counter()
    bench.optimizer(args.styles[0], options).paint(photo)
    each = (time.perf_counter() - began) / args.memory_iterations
    return {"size": ULTRA_HD, "tile": options.tile, "peak_rss_mb": peak_rss_mb(), "seconds_an_iteration": each}


def options_of(args: argparse.Namespace) -> PaintOptions:
    return PaintOptions(precision=args.precision)


def tell(name: str, row: dict[str, Any]) -> None:
    values = (f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
    print(f"{name:20}" + "  ".join(values), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="quality,speed,memory")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument("--perceptual", type=Path, help="VGG weights (default: vgg16-features of --shared)")
    parser.add_argument("--bank", type=Path, default=Path("models/paintings.safetensors"))
    parser.add_argument("--photo", default="mmpose_0002.jpg", help="of photos/research")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), default=(640, 360))
    parser.add_argument("--styles", type=lambda text: text.split(","), default=None, help="all if left out")
    parser.add_argument("--budgets", type=lambda text: tuple(map(int, text.split(","))), default=(40, 60, 80))
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory-iterations", type=int, default=3)
    parser.add_argument("--pictures", type=Path, help="save the paintings of --parts quality into this folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.styles = args.styles or sorted(path.stem for path in (args.shared / "styles").glob("*.jpg"))
    if args.case:
        print(json.dumps(memory_case(args)))
        return
    parts = {"quality": quality, "speed": speed, "memory": memory}
    bench = Bench(args)
    found = {part: parts[part](bench) for part in args.parts.split(",")}
    if args.json:
        about = {"machine": describe(args.device), "photo": args.photo, "size": args.size}
        print(json.dumps({**about, **found}))


if __name__ == "__main__":
    main()
