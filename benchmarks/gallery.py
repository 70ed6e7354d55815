"""python -m benchmarks.gallery: the README's pictures, made anew from the shipped clip by the shipped bank."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from dataclasses import replace
from fractions import Fraction
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from videostyle.cli import run
from videostyle.cli.demo import OUTPUT
from videostyle.engines import load_engine
from videostyle.frame import Frame, Image
from videostyle.library import Library, shipped_folder
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import resized
from videostyle.sinks import open_sink
from videostyle.sources import open_source
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer

MOMENT = 70
"""The frame of the shipped clip that stands in the README."""
PART = np.s_[60:300, 200:500]
BLENDED, KEPT = ("great-wave", "starry-night"), ("composition-viii", "adele-bloch-bauer")
SMOOTH = {"off": "--smooth off", "auto": "--smooth auto", "best": "--smooth best"}


def frames(path: Path, step: int, first: int = 0) -> list[Image]:
    """Every ``step``-th frame of a video."""
    source = open_source(path)
    try:
        return [frame.image for frame in source if frame.index % step == first % step and frame.index >= first]
    finally:
        source.close()


def noisy(clip: Path, path: Path) -> Path:
    """What a camera would see of the clip: it stands for half a second, then goes on, and its pictures have noise."""
    source = open_source(clip)
    taken = list(islice(source, MOMENT, MOMENT + 24))
    source.close()
    draw = np.random.default_rng(0)
    step = taken[1].pts - taken[0].pts
    sink = open_sink(str(path), replace(source.info, origin=None, frames=None), quality=1, sound=False)
    for index, frame in enumerate([taken[0]] * 16 + taken):
        noise = draw.normal(0, 5, frame.image.shape)
        image = np.asarray(np.clip(frame.image + noise, 0, 255), np.uint8)
        sink.write(replace(frame, image=image, index=index, pts=index * step))
    sink.close()
    return path


def steady(folder: Path, clip: Path, style: str) -> list[Pillow.Image]:
    """The same part of a noisy film, frame by frame and smoothed, side by side."""
    film = noisy(clip, folder / "noisy.mkv")
    columns = []
    for smooth in SMOOTH:
        out = folder / f"{smooth}.mkv"
        if run(["video", str(film), str(out), "--style", style, "--smooth", smooth, "--quality", "5"]):
            raise SystemExit(1)
        columns.append([labelled(image[PART], title) for image, title in zip(frames(out, 1), repeat(SMOOTH[smooth]))])
    return [Pillow.fromarray(np.hstack(row)) for row in zip(*columns, strict=True)]


def mixing(photo: Image) -> Image:
    """Strengths, blends of two styles, and the photo's own colours: a row of each."""
    small = resized(photo, 360)

    def tile(title: str, style: str, strength: float = 1.0, keep_color: bool = False) -> Image:
        stylizer = Stylizer(engine, bank, parse_mix(style), strength=strength, keep_color=keep_color)
        return labelled(stylizer(Frame(small, 0, 0, Fraction(1, 25), 0.0)).image, title)

    one, other = BLENDED
    bank = Library().bank(parse_mix(f"{one},{other}"))
    engine = load_engine(bank)
    shares = (0.25, 0.5, 0.75)
    rows = [
        [tile(f"{one}, --strength {strength:g}", one, strength) for strength in (0.2, 0.4, 0.6, 0.8, 1.0)],
        [
            tile(one, one),
            *(tile(f"{one}:{1 - share:g},{other}:{share:g}", f"{one}:{1 - share},{other}:{share}") for share in shares),
            tile(other, other),
        ],
        [
            labelled(small, "the photo"),
            *(tile(f"{name} --keep-color", name, keep_color=True) for name in (one, other, *KEPT)),
        ],
    ]
    engine.close()
    return np.vstack([np.hstack(row) for row in rows])


def labelled(image: Image, title: str) -> Image:
    """A picture with its title above it."""
    bar = Pillow.new("RGB", (image.shape[1], 24), "white")
    ImageDraw.Draw(bar).text((6, 3), title, "black", ImageFont.load_default(15))
    return np.vstack([np.asarray(bar), image])


def animate(pictures: list[Pillow.Image], path: Path, duration: int) -> None:
    """An animated WebP. duration: of a picture, in milliseconds."""
    webp: dict[str, Any] = {"append_images": pictures[1:], "duration": duration, "quality": 60, "method": 6, "loop": 0}
    pictures[0].save(path, save_all=True, **webp)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/gallery"))
    parser.add_argument("--width", type=int, default=480, help="of the animation")
    parser.add_argument("--steady-style", default="great-wave")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    clip = shipped_folder() / "demo.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        still = Path(temporary) / "still.png"
        save_picture(still, frames(clip, 1000, first=MOMENT)[0])
        sheet = Path(temporary) / "sheet.png"
        if run(["styles", "sheet", str(still), str(sheet), "--columns", "7", "--size", "300"]):
            raise SystemExit(1)
        save_picture(args.out / "sheet.jpg", load_picture(sheet), quality=85, force=True)
        save_picture(args.out / "mixing.jpg", mixing(load_picture(still)), quality=85, force=True)
        with contextlib.chdir(temporary):
            if run(["demo", "--no-window"]):
                raise SystemExit(1)
            pictures = [Pillow.fromarray(image) for image in frames(OUTPUT, 2)]
        animate(steady(Path(temporary), clip, args.steady_style), args.out / "steady.webp", 66)
    size = (args.width, round(args.width * pictures[0].height / pictures[0].width))
    small = [picture.resize(size, Pillow.Resampling.LANCZOS) for picture in pictures]
    animate(small, args.out / "demo.webp", 80)
    print(*(f"{path}: {path.stat().st_size / 1e6:.1f} MB" for path in sorted(args.out.iterdir())), sep="\n")


if __name__ == "__main__":
    main()
