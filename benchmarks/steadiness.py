"""python -m benchmarks.steadiness: how much a bank's styles flicker on real clips, with smoothing and without.

Every style paints every clip frame by frame, and each treatment of these paintings is measured by the motion of the
clip: warping error (short: to the frame before, long: to 5 frames before, first: to the scene's first) beside the
clip's own, noise of what stands still, style distance, ghosts in what has just appeared and sharpness of moving edges
against the untreated paintings; "left" is what is left of the untreated paintings' excess over the clip's own short
error. "average" is the plain frame average of other programs. First
comes how far the flow itself is off, in pixels, on pairs whose flow is known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.machine import describe
from videostyle.engines import StyleEngine, load_engine
from videostyle.flow import DenseFlow, end_point_error, luma, read_flow, visible
from videostyle.frame import Image
from videostyle.perceptual import PerceptualNet, load_perceptual
from videostyle.pictures import load_picture
from videostyle.quality import features, judge, style_grams
from videostyle.sources import open_source
from videostyle.steadiness import Cost, Motion, Steadiness, Step, known_link, squared_error
from videostyle.styles import IDENTITY, StyleBank
from videostyle.temporal import Smoother

CLIPS = {
    "webcam": "clips/01_webcam_woman_signing.mkv",
    "street": "clips/06_street_bikes_traffic.mp4",
    "handheld": "clips/16_person_kitchen_handheld_opus.mkv",
    "sintel": "flow/sintel_raft_demo",
}
KNOWN = {
    "rubberwhale": ("middlebury_rubberwhale/frame10.png", "frame11.png", "flow10.flo"),
    "kitti": ("kitti_pair/frame1.png", "frame2.png", "flow_gt.png"),
    **{
        f"chairs-{name}": (f"flyingchairs/{name}.img0.ppm", f"{name}.img1.ppm", f"{name}.flo")
        for name in ("fn2_0", "fn2_3", "spy_1", "spy_2")
    },
}
JUDGED_EVERY = 10
Paint = Callable[[Image], Image]
Treatment = Callable[[Image, Image], Image]
"""Next photo and its untreated painting -> what is shown."""


def average(share: float) -> Treatment:
    """Blends each painting with the picture shown before, wherever that was."""
    shown: list[Image] = []

    def treat(photo: Image, painting: Image) -> Image:
        before = shown[-1] if shown else painting
        shown[:] = [np.asarray(share * before + (1 - share) * painting + 0.5, np.uint8)]
        return shown[-1]

    return treat


def smoothed(strength: float | None, paint: Paint) -> Treatment:
    """As ``--smooth`` does it; None is "auto"."""
    smoother = Smoother(strength)

    def treat(photo: Image, painting: Image) -> Image:
        held = smoother.hold(photo)
        return smoother.blend(paint(held.photo), held)

    return treat


def make_treatment(name: str, paint: Paint) -> Treatment:
    """ "off", "average:SHARE", or what ``--smooth`` takes."""
    kind, _, value = name.partition(":")
    if kind == "average":
        return average(float(value))
    if kind == "off":
        return lambda photo, painting: painting
    return smoothed(None if kind == "auto" else float(kind), paint)


@dataclass(slots=True)
class Film:
    """One style of one clip under one treatment, as far as it has come."""

    treat: Treatment
    steadiness: Steadiness = field(default_factory=Steadiness)
    cost: Cost = field(default_factory=Cost)
    style: list[float] = field(default_factory=list)

    def add(
        self, step: Step, photo: Image, painting: Image, grams: dict[str, Tensor], net: PerceptualNet | None
    ) -> None:
        shown = self.treat(photo, painting)
        self.steadiness.add(step, shown)
        self.cost.add(step, shown, painting)
        if net is not None:
            found = features(shown, net)
            self.style.append(judge(found, found, grams).style)

    def row(self, floor: Steadiness) -> dict[str, Any]:
        errors = self.steadiness.errors
        return {
            "error": errors,
            "excess": {span: error - floor.errors[span] for span, error in errors.items()},
            "noise": self.steadiness.noise,
            "style": fmean(self.style),
            "ghosting": self.cost.ghosting,
            "sharpness": self.cost.sharpness,
        }


def painter(engine: StyleEngine, vector: NDArray[np.float32]) -> Paint:
    return lambda photo: engine(photo[None], vector)[0]


def frames_of(path: Path, count: int) -> Iterator[Image]:
    with closing(open_source(path)) as source:
        yield from (frame.image for frame in islice(source, count))


def run_clip(
    path: Path, count: int, engine: StyleEngine, bank: StyleBank, styles: list[str], names: list[str], judges: Judges
) -> dict[str, Any]:
    """One clip through all styles and treatments, frame by frame: memory does not grow with its length."""
    motion, floor = Motion(), Steadiness()
    paints = {style: painter(engine, bank.styles[bank.names.index(style)]) for style in styles}
    films = {style: {name: Film(make_treatment(name, paints[style])) for name in names} for style in styles}
    trusted = []
    for index, photo in enumerate(frames_of(path, count)):
        step = motion(photo)
        floor.add(step, photo)
        trusted += [step.trusted] if step.trusted is not None else []
        net = judges.net if index % JUDGED_EVERY == 0 else None
        for style, treated in films.items():
            painting = paints[style](photo)
            for film in treated.values():
                film.add(step, photo, painting, judges.grams[style], net)
    rows = {style: {name: film.row(floor) for name, film in treated.items()} for style, treated in films.items()}
    size = [photo.shape[1], photo.shape[0]]
    return {
        "clip": path.name,
        "frames": index + 1,
        "size": size,
        "trusted": fmean(trusted),
        "input": {"error": floor.errors, "noise": floor.noise},
        "styles": rows,
        "mean": {name: mean_of([row[name] for row in rows.values()], rows, name) for name in names},
    }


def mean_of(rows: list[dict[str, Any]], all_rows: dict[str, Any], name: str) -> dict[str, Any]:
    """Over the styles; what is a share of the untreated is taken from the means."""
    spans = rows[0]["error"]
    mean = {key: {span: fmean(row[key][span] for row in rows) for span in spans} for key in ("error", "excess")}
    plain: dict[str, Any] = {
        key: fmean(row[key] for row in rows) if rows[0][key] is not None else None
        for key in ("noise", "style", "ghosting", "sharpness")
    }
    return mean | plain


@dataclass(frozen=True, slots=True)
class Judges:
    """Perceptual network and the Gram matrices of each style's picture."""

    net: PerceptualNet
    grams: dict[str, Any]


def flow_error(shared: Path, paint: Paint) -> dict[str, Any]:
    """How far the flow is off where it is known, and the error of ``paint``'s paintings by known flow and by that."""
    found: dict[str, Any] = {}
    for name, (first, second, truth) in KNOWN.items():
        folder = (shared / "flow" / first).parent
        start, end = load_picture(shared / "flow" / first), load_picture(folder / second)
        known = read_flow(folder / truth)
        flow, back = DenseFlow()(luma(start), luma(end)), DenseFlow()(luma(end), luma(start))
        seen = visible(flow, back)
        link = known_link(known, start, end)
        found[name] = {
            "end_point_error": end_point_error(flow, known),
            "end_point_error_trusted": end_point_error(flow, known, seen),
            "trusted": float(seen.mean()),
            "input_error": squared_error(link, start, end) ** 0.5,
            "painting_error": squared_error(link, paint(start), paint(end)) ** 0.5,
        }
    return found


def tell(clip: dict[str, Any], names: list[str]) -> None:
    """The table of one clip, on stderr."""
    floor = clip["input"]
    size, noise = "x".join(map(str, clip["size"])), floor["noise"]
    print(
        f"\n{clip['clip']}: {clip['frames']} frames, {size}, motion followed in {clip['trusted']:.0%}", file=sys.stderr
    )
    spans = list(floor["error"])
    heads = [*(f"{span:>7}" for span in spans), "   left", "  noise", "  style", "  ghost", "  sharp"]
    print(f"{'':34}{''.join(heads)}", file=sys.stderr)
    own = "".join(f"{floor['error'][span]:7.4f}" for span in spans)
    print(f"{'input':34}{own}       -{'      -' if noise is None else f'{noise:7.4f}'}", file=sys.stderr)
    for style, treated in [*clip["styles"].items(), ("mean", clip["mean"])]:
        for name in names:
            row = treated[name]
            left = row["excess"]["short"] / treated["off"]["excess"]["short"] if "off" in treated else float("nan")
            values = [row["style"], row["ghosting"], row["sharpness"]]
            cells = [f"{row['error'][span]:7.4f}" for span in spans] + [f"{left:7.1%}"]
            cells += ["      -" if row["noise"] is None else f"{row['noise']:7.4f}"]
            cells += ["      -" if value is None else f"{value:7.3f}" for value in values]
            print(f"{style:20}{name:14}{''.join(cells)}", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path, nargs="?", default=Path("models/paintings.safetensors"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument("--perceptual", type=Path, help="VGG-16 weights (default: vgg16-features of --shared)")
    parser.add_argument("--clips", default=",".join(CLIPS), help=f"of {', '.join(CLIPS)}")
    parser.add_argument("--styles", help="names, separated by commas; all of the bank if left out")
    parser.add_argument("--frames", type=int, default=40, help="of each clip")
    parser.add_argument("--treatments", default="off,auto,average:0.5", help="off, auto, 0..1 or average:SHARE")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    args = parse()
    bank = StyleBank.load(args.bank)
    styles = args.styles.split(",") if args.styles else [name for name in bank.names if name != IDENTITY]
    names = args.treatments.split(",")
    net = load_perceptual(args.perceptual or args.shared / "weights/vgg16-features.safetensors")
    grams = {style: style_grams(load_picture(args.shared / f"styles/{style}.jpg"), net) for style in styles}
    engine = load_engine(bank, engine=args.engine, precision=args.precision)
    flow = flow_error(args.shared, painter(engine, bank.styles[bank.names.index(styles[0])]))
    for name, row in flow.items():
        print(f"{name:16}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()), file=sys.stderr, flush=True)
    clips = {}
    for name in args.clips.split(","):
        path = args.shared / CLIPS[name]
        clips[name] = run_clip(path, args.frames, engine, bank, styles, names, Judges(net, grams))
        tell(clips[name], names)
    if args.json:
        about = {"machine": describe(engine.device), "engine": engine.name, "precision": engine.precision}
        print(
            json.dumps({**about, "bank": str(args.bank), "flow": flow, "painted_for_flow": styles[0], "clips": clips})
        )
    engine.close()


if __name__ == "__main__":
    main()
