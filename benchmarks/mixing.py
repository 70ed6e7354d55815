"""python -m benchmarks.mixing: what lies between the photo and a style, and between two styles.

strength: SSIM to the photo and style distance of every style at strengths of 0 to 1, on some of the photos of
``benchmarks.quality``; both should fall step by step. "rises" are steps that go the other way by more than noise.
blends: every style half and half with each of the ``--with`` next ones; "mud" is a blend that is further from one of
its two pictures, in style, than the unpainted photo is.
colour: how far ``--keep-color`` moves the chroma of the photo, mean absolute difference of Cb and Cr, 0..255.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.quality import PHOTOS, SIZE, picture_of
from videostyle.engines import StyleEngine, load_engine
from videostyle.frame import Image
from videostyle.perceptual import PerceptualNet, load_perceptual
from videostyle.quality import features, judge, load_photos, ssim, style_grams
from videostyle.styles import IDENTITY, StyleBank, StyleMix
from videostyle.stylizer import keep_colors

STRENGTHS = tuple(round(0.1 * step, 1) for step in range(11))
NOISE = {"ssim": 0.005, "style": 0.01}
"""Smaller steps in the wrong direction count for none."""


def strengths(engine: StyleEngine, bank: StyleBank, name: str, photos: list[Image], judged: Any) -> dict[str, Any]:
    """One style from the photo to its full strength."""
    mix = StyleMix(((name, 1.0),))
    found: dict[str, list[float]] = {"ssim": [], "style": []}
    for strength in STRENGTHS:
        vector = bank.vector(mix, strength)
        paintings = [engine(photo[None], vector)[0] for photo in photos]
        found["ssim"].append(fmean(ssim(photo, painting) for photo, painting in zip(photos, paintings, strict=True)))
        found["style"].append(fmean(judged(name, painting) for painting in paintings))
    rises = sum(after > before + NOISE[kind] for kind, values in found.items() for before, after in pairwise(values))
    full = engine(photos[0][None], bank.vector(mix))[0]
    return {**found, "rises": rises, "chroma_moved_by_keep_color": chroma(photos[0], keep_colors(photos[0], full))}


def chroma(photo: Image, painting: Image) -> float:
    both = [cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int) for image in (photo, painting)]
    return float(np.abs(both[0] - both[1]).mean())


def blend(
    engine: StyleEngine, bank: StyleBank, pair: tuple[str, str], photos: list[Image], judged: Any, plain: Any
) -> dict[str, Any]:
    """Two styles half and half."""
    vector = bank.vector(StyleMix(tuple((name, 1.0) for name in pair)))
    paintings = [engine(photo[None], vector)[0] for photo in photos]
    style = {name: fmean(judged(name, painting) for painting in paintings) for name in pair}
    return {"styles": pair, "style": style, "mud": any(style[name] >= plain[name] for name in pair)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path, nargs="?", default=Path("models/paintings.safetensors"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument("--perceptual", type=Path, help="VGG-16 weights (default: vgg16-features of --shared)")
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--with", dest="others", type=int, default=3, metavar="N")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    net: PerceptualNet = load_perceptual(args.perceptual or args.shared / "weights/vgg16-features.safetensors")
    photos = load_photos(args.shared / "photos/research", PHOTOS[: args.photos], *SIZE)
    bank = StyleBank.load(args.bank)
    engine = load_engine(bank)
    names = [name for name in bank.names if name != IDENTITY]
    grams = {name: style_grams(picture_of(name, args.shared), net) for name in names}

    @torch.inference_mode()
    def judged(name: str, painting: Image) -> float:
        found = features(painting, net)
        return judge(found, found, grams[name]).style

    seen = [features(photo, net) for photo in photos]
    plain = {name: fmean(judge(photo, photo, grams[name]).style for photo in seen) for name in names}
    rows = {}
    for name in names:
        rows[name] = row = strengths(engine, bank, name, photos, judged)
        cells = "  ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(row["ssim"], row["style"], strict=True))
        print(f"{name:20}{cells}  rises {row['rises']}", file=sys.stderr, flush=True)
    pairs = [
        (name, names[(at + step) % len(names)]) for at, name in enumerate(names) for step in range(1, args.others + 1)
    ]
    blends = [blend(engine, bank, pair, photos, judged, plain) for pair in pairs]
    mud = [row["styles"] for row in blends if row["mud"]]
    print(f"{len(blends)} blends, mud in {len(mud)}: {mud}", file=sys.stderr)
    if args.json:
        about = {"machine": describe(), "engine": engine.name, "precision": engine.precision, "photos": args.photos}
        print(json.dumps({**about, "strengths": STRENGTHS, "photo": plain, "styles": rows, "blends": blends}))
    engine.close()


if __name__ == "__main__":
    main()
