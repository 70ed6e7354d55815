"""python -m benchmarks.export BANK: how large exported files are, and how near to PyTorch's their paintings.

Every format and precision whose package is installed here, each file run by its own runtime. Photos that no net was
trained on, cut to 640x360, are painted in every style of the bank: mean SSIM and largest and mean difference in codes
of 0..255 to eager PyTorch in fp32, and style distance (``videostyle.quality.judge``), also as a share of PyTorch's.
"of_fp32" is the size as a share of the format's own fp32 file. Nothing is timed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.quality import PHOTOS, SIZE, painter, picture_of
from videostyle.errors import EngineError
from videostyle.export import FORMATS, export
from videostyle.frame import Image
from videostyle.perceptual import load_perceptual
from videostyle.quality import features, judge, load_photos, ssim, style_grams
from videostyle.styles import IDENTITY, StyleBank

SHARED = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--perceptual", type=Path, default=SHARED / "weights/vgg16-features.safetensors")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos/research")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where the pictures of the styles are")
    parser.add_argument("--count", type=int, default=4, help=f"how many photos of {len(PHOTOS)}")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bank = StyleBank.load(args.bank)
    photos = load_photos(args.photos, PHOTOS[:: len(PHOTOS) // args.count][: args.count], *SIZE)
    distance = _distances(args.perceptual, args.shared, bank, photos)
    exact = {name: [painter(bank, row)(photo) for photo in photos] for row, name in enumerate(bank.names)}
    base = mean(distance(name, exact[name]) for name in bank.names if name != IDENTITY)
    rows: list[dict[str, Any]] = []
    for name in args.formats.split(","):
        whole = 0
        for precision in FORMATS[name].precisions:
            try:
                size, painted = _painted(bank, name, precision, photos)
            except EngineError as error:
                print(f"{name} {precision}: {error}", file=sys.stderr)
                continue
            whole = size if precision == "fp32" else whole
            style = mean(distance(style, painted[style]) for style in painted if style != IDENTITY)
            row = {"format": name, "precision": precision, "bytes": size, "of_fp32": size / whole}
            rows.append(row | _apart(exact, painted) | {"style": style, "style_ratio": style / base})
            shown = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items())
            print("  ".join(shown), file=sys.stderr, flush=True)
    if args.json:
        about = {"machine": describe(), "bank": args.bank.name, "photos": len(photos), "size": SIZE, "style": base}
        print(json.dumps(about | {"rows": rows}))


def _painted(bank: StyleBank, name: str, precision: str, photos: list[Image]) -> tuple[int, dict[str, list[Image]]]:
    """Bytes of the exported file, and its paintings by style."""
    row = FORMATS[name]
    with TemporaryDirectory() as folder:
        output = Path(folder) / f"bank{row.suffixes[0]}"
        report = export(bank, output, format=name, precision=precision, size=SIZE if row.fixed else None)
        paint = importlib.import_module(f"videostyle.export.{row.module}").load(output)
        painted = {
            style: [paint(photo[None], vector)[0].copy() for photo in photos]
            for style, vector in zip(bank.names, bank.styles, strict=True)
        }
    return report.bytes, painted


def _apart(exact: dict[str, list[Image]], painted: dict[str, list[Image]]) -> dict[str, float]:
    pairs = [pair for name in exact for pair in zip(exact[name], painted[name], strict=True)]
    apart = [np.abs(a.astype(int) - b) for a, b in pairs]
    similar = [ssim(a, b) for a, b in pairs]
    return {
        "ssim": mean(similar),
        "ssim_worst": min(similar),
        "max": max(int(each.max()) for each in apart),
        "mean": mean(float(each.mean()) for each in apart),
    }


def _distances(
    perceptual: Path, shared: Path, bank: StyleBank, photos: list[Image]
) -> Callable[[str, list[Image]], float]:
    """What says the mean style distance of paintings of ``photos`` to the picture of a style."""
    net = load_perceptual(perceptual)
    seen = [features(photo, net) for photo in photos]
    names = [name for name in bank.names if name != IDENTITY]
    grams = {name: style_grams(picture_of(name, shared), net) for name in names}

    def distance(name: str, paintings: list[Image]) -> float:
        judged = (judge(photo, features(each, net), grams[name]) for photo, each in zip(seen, paintings, strict=True))
        return mean(one.style for one in judged)

    return distance


if __name__ == "__main__":
    main()
