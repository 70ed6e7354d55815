"""python -m benchmarks.offline: the README's picture of offline painting, from the shipped clip.

Above: a frame, what the shipped bank makes of it, and the same painted by optimisation. Below: a strip of frames that
were carried between two keyframes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from videostyle.cli import run
from videostyle.frame import Image
from videostyle.keyframes.film import Film
from videostyle.library import shipped_folder
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import resized
from videostyle.sinks import open_sink

GAP = 6


def beside(pictures: list[Image], axis: int) -> Image:
    """Pictures in a row (axis 1) or a column (axis 0), with white between them."""
    pad = [(0, 0), (0, 0), (0, 0)]
    pad[axis] = (0, GAP)
    parts = [np.pad(picture, pad, constant_values=255) for picture in pictures[:-1]]
    return np.concatenate([*parts, pictures[-1]], axis)


def called(*arguments: str | Path) -> None:
    if code := run([str(argument) for argument in arguments]):
        sys.exit(code)


def main() -> None:
    shared = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/gallery/offline.jpg"))
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--side", type=int, default=480)
    parser.add_argument("--first", type=int, default=70)
    parser.add_argument("--every", type=int, default=10)
    args = parser.parse_args()
    how = ["--style-image", shared / f"styles/{args.style}.jpg", "--max-side", args.side]
    how += ["--perceptual", shared / "weights/vgg16-features.safetensors"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        film = Film(str(shipped_folder() / "demo.mp4"), args.side)
        sink = open_sink(str(folder / "clip.mkv"), film.info, quality=1, sound=False)
        for frame in film:
            if args.first <= frame.index <= args.first + args.every:
                sink.write(frame)
        sink.close()
        photo = next(iter(Film(str(folder / "clip.mkv")))).image
        save_picture(folder / "photo.png", photo)
        called("image", folder / "photo.png", folder / "net.png", "--style", args.style)
        out = f"images:{folder / 'out'}"
        called("keyframes", folder / "clip.mkv", out, *how, "--every", args.every, "--work", folder / "work")
        frames = [load_picture(path) for path in sorted((folder / "out").iterdir())]
        above = beside([photo, load_picture(folder / "net.png"), frames[0]], 1)
        strip = beside([frames[number] for number in np.linspace(0, args.every, 5).round().astype(int)], 1)
    save_picture(args.out, beside([above, resized(strip, above.shape[1])], 0), quality=88, force=True)


if __name__ == "__main__":
    main()
