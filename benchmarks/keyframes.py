"""python -m benchmarks.keyframes: films painted by keyframes: how steady, and whether a kill shows.

steady: the first seconds of a clip, every 10th frame a keyframe, painted by ``videostyle keyframes``; warping error as
    ``videostyle measure`` defines it, beside the film's own and that of frames optimised each by itself (the first
    --independent of them: each takes as long as a keyframe). At keyframes: the error from the frame before one to it;
    elsewhere: that of all others.
resume: the same job at --resume-size, killed at random moments (SIGKILL) and started again, beside an undisturbed run:
    the two MP4 files must be the same to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from videostyle.frame import Image
from videostyle.keyframes.film import Film
from videostyle.optimize import PictureOptimizer
from videostyle.optimize_options import PaintOptions, StylePicture
from videostyle.perceptual import load_perceptual
from videostyle.sinks import open_sink
from videostyle.steadiness import Motion, Steadiness


def cut(args: argparse.Namespace, path: Path) -> Path:
    """The first seconds of the clip, at its size or smaller, all but lossless."""
    film = Film(str(args.clip), args.max_side, {"duration": args.seconds})
    sink = open_sink(str(path), film.info, quality=1, sound=False)
    for frame in film:
        sink.write(frame)
    sink.close()
    return path


def job(args: argparse.Namespace, clip: Path, out: str, work: Path, *more: str) -> list[str]:
    """The product's own command line."""
    start = [sys.executable, "-m", "videostyle", "keyframes", str(clip), out, "--work", str(work), "--force"]
    start += ["--style-image", str(args.style), "--perceptual", str(args.perceptual), "--every", str(args.every)]
    return [*start, *args.options.split(), *more]


def pictures(folder: Path) -> Iterable[Image]:
    return (frame.image for frame in Film(f"images:{folder}"))


def errors(film: Iterable[Image], painting: Iterable[Image]) -> list[float | None]:
    """Short warping error of each frame to the one before; None where a scene begins."""
    motion, steadiness = Motion(first=False), Steadiness()
    return [steadiness.add(motion(photo), picture).get("short") for photo, picture in zip(film, painting, strict=False)]


def root_mean_square(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sqrt(sum(value**2 for value in found) / len(found)) if found else None


def steady(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Paint, carry and measure; pictures, not a video, come out, so that no encoder blurs what is measured."""
    clip = cut(args, folder / "clip.mkv")
    began = time.perf_counter()
    subprocess.run(job(args, clip, f"images:{folder / 'out'}", folder / "work"), check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - began
    plan = json.loads((folder / "work/plan.json").read_text())
    film = [frame.image for frame in Film(str(clip))]
    own, painted = errors(film, film), errors(film, pictures(folder / "out"))
    inner = {key for key in plan["keyframes"] if key not in plan["scenes"]}
    at = root_mean_square(error for number, error in enumerate(painted) if number in inner)
    elsewhere = root_mean_square(error for number, error in enumerate(painted) if number not in inner)
    single = independent(args, film[: args.independent])
    same = len(single)
    return {
        "frames": len(film),
        "size": film[0].shape[1::-1],
        "keyframes": len(plan["keyframes"]),
        "seconds": seconds,
        "input": root_mean_square(own),
        "painted": root_mean_square(painted),
        "at_keyframes": at,
        "elsewhere": elsewhere,
        "independent_frames": same,
        "independent": root_mean_square(errors(film, single)),
        "painted_there": root_mean_square(painted[:same]),
    }


def independent(args: argparse.Namespace, film: list[Image]) -> list[Image]:
    """Frames optimised each by itself."""
    options = PaintOptions()
    net = load_perceptual(args.perceptual, deepest=options.deepest)
    optimizer = PictureOptimizer([StylePicture(args.style)], options, net)
    return [optimizer.paint(photo) for photo in film]


def resume(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill, start again, compare."""
    clip = cut(args, folder / "clip.mkv")
    small = ("--max-side", str(args.resume_size))
    whole, broken = folder / "whole.mp4", folder / "broken.mp4"
    began = time.perf_counter()
    subprocess.run(job(args, clip, str(whole), folder / "whole.work", *small), check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - began
    draw, killed = random.Random(args.seed), []
    for _ in range(args.kills):
        with subprocess.Popen(job(args, clip, str(broken), folder / "broken.work", *small)) as process:
            moment = draw.uniform(0.08, 0.18) * seconds  # few enough to be killed each time
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.kill()
                killed.append(moment)
    subprocess.run(job(args, clip, str(broken), folder / "broken.work", *small), check=True, stdout=sys.stderr)
    same = whole.read_bytes() == broken.read_bytes()
    return {"seconds": seconds, "killed_after": killed, "bytes": whole.stat().st_size, "identical": same}


def main() -> None:
    shared = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="steady,resume")
    parser.add_argument("--clip", type=Path, default=shared / "clips/12_interlaced_tff_h264_opengop.mp4")
    parser.add_argument("--style", type=Path, default=shared / "styles/starry-night.jpg")
    parser.add_argument("--perceptual", type=Path, default=shared / "weights/vgg16-features.safetensors")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--max-side", type=int)
    parser.add_argument("--independent", type=int, default=6)
    parser.add_argument("--options", default="", help="more options of videostyle keyframes, in one string")
    parser.add_argument("--resume-size", type=int, default=192)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    parts, found = {"steady": steady, "resume": resume}, {}
    for part in args.parts.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = (args.folder or Path(temporary)) / part
            folder.mkdir(parents=True, exist_ok=True)
            found[part] = parts[part](args, folder)
        print(part, found[part], file=sys.stderr, flush=True)
    if args.json:
        about = {"machine": describe(), "clip": args.clip.name, "style": args.style.stem, "every": args.every}
        print(json.dumps({**about, **found}))


if __name__ == "__main__":
    main()
