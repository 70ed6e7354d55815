"""python -m benchmarks.window: the README's film of the window, from a real session on a screen of its own.

Plays the shipped clip as a camera under Xvfb, with xdotool for hands and ffmpeg for eyes. Needs from apt: ffmpeg, xvfb,
openbox, xdotool, wmctrl, x11-utils.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image as Pillow

from tests.screen import Screen, screen, until
from videostyle.library import shipped_folder

SCRIPT = (
    *((1.6, "2"), (1.6, "3"), (1.6, "x"), (1.8, "x"), (0.4, "b"), (1.6, "9"), (1.4, "g"), (3.0, "g"), (0.5, "8")),
    (1.5, ""),
)
"""Seconds to wait, and the key that is pressed then."""
STILL_AT = 11.8
"""Second of the film that the still picture is taken from: the sheet is open."""
RATE = 12


def film(shown: Screen, folder: Path, options: list[str]) -> list[Path]:
    """PNG files of what the window shows from its first painting on, ``RATE`` a second."""
    clip = str(shipped_folder() / "demo.mp4")
    live = [sys.executable, "-m", "videostyle", "live", "--source", clip, "--loop", *options]
    with subprocess.Popen(live, env=shown.environment) as session:
        try:
            until(lambda: shown.window("videostyle") and shown.look(shown.window("videostyle")).std() > 5, "it paints")
            window = shown.window("videostyle")
            time.sleep(1.5)
            x, y, width, height = shown.place(window)
            seen = ["-f", "x11grab", "-draw_mouse", "0", "-framerate", str(RATE), "-video_size", f"{width}x{height}"]
            seconds = sum(wait for wait, _ in SCRIPT)
            grab = ["ffmpeg", "-v", "error", *seen, "-i", f"{shown.display}+{x},{y}", "-t", str(seconds)]
            with subprocess.Popen([*grab, str(folder / "%04d.png")]) as eyes:
                for wait, key in SCRIPT:
                    time.sleep(wait)
                    if key:
                        shown.do("xdotool", "windowfocus", window, "key", key)
                eyes.wait()
            shown.do("xdotool", "windowfocus", window, "key", "q")
            session.wait(30)
        finally:
            session.kill()
    return sorted(folder.glob("*.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/gallery"))
    parser.add_argument("--width", type=int, default=480, help="of the film")
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary, screen() as shown:
        paths = film(shown, Path(temporary), options)
        with Pillow.open(paths[min(len(paths) - 1, round(STILL_AT * RATE))]) as still:
            still.convert("RGB").save(args.out / "window.jpg", quality=88)
        pictures = []
        for path in paths:
            with Pillow.open(path) as picture:
                size = (args.width, round(args.width * picture.height / picture.width))
                pictures.append(picture.convert("RGB").resize(size, Pillow.Resampling.LANCZOS))
    pictures[0].save(
        args.out / "live.webp",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / RATE),
        loop=0,
        quality=50,
        method=6,
    )
    print(*(f"{path}: {path.stat().st_size / 1e6:.1f} MB" for path in sorted(args.out.iterdir())), sep="\n")


if __name__ == "__main__":
    main()
