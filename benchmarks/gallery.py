"""python -m benchmarks.gallery: the README's pictures, made anew from the shipped clip by the shipped bank."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from videostyle.cli import run
from videostyle.cli.demo import OUTPUT
from videostyle.frame import Image
from videostyle.library import shipped_folder
from videostyle.pictures import load_picture, save_picture
from videostyle.sources import open_source


def frames(path: Path, step: int, first: int = 0) -> list[Image]:
    """Every ``step``-th frame of a video."""
    source = open_source(path)
    try:
        return [frame.image for frame in source if frame.index % step == first % step and frame.index >= first]
    finally:
        source.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/gallery"))
    parser.add_argument("--width", type=int, default=480, help="of the animation")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    clip = shipped_folder() / "demo.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        still = Path(temporary) / "still.png"
        save_picture(still, frames(clip, 1000, first=70)[0])
        sheet = Path(temporary) / "sheet.png"
        if run(["styles", "sheet", str(still), str(sheet), "--columns", "4", "--size", "480"]):
            raise SystemExit(1)
        save_picture(args.out / "sheet.jpg", load_picture(sheet), quality=85, force=True)
        with contextlib.chdir(temporary):
            if run(["demo", "--no-window"]):
                raise SystemExit(1)
            pictures = [Pillow.fromarray(image) for image in frames(OUTPUT, 2)]
    size = (args.width, round(args.width * pictures[0].height / pictures[0].width))
    small = [picture.resize(size, Pillow.Resampling.LANCZOS) for picture in pictures]
    webp: dict[str, Any] = {
        "save_all": True,
        "append_images": small[1:],
        "duration": 80,
        "loop": 0,
        "quality": 60,
        "method": 6,
    }
    small[0].save(args.out / "demo.webp", **webp)
    print(*(f"{path}: {path.stat().st_size / 1e6:.1f} MB" for path in sorted(args.out.iterdir())), sep="\n")


if __name__ == "__main__":
    main()
