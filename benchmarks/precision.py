"""python -m benchmarks.precision BANK: what engines and precisions cost in quality, against eager PyTorch in fp32.

Photos that no net was trained on, cut to 640x360, painted in every style of the bank: mean and worst SSIM against
eager's paintings, and style distance (``videostyle.quality.judge``) as a share of eager's. An int8 that is good enough
has a mean SSIM of 0.95 and a style distance within 10 % of eager's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean

from benchmarks.quality import PHOTOS, SIZE, painter, picture_of
from videostyle.engines import installed_engines, load_engine
from videostyle.errors import EngineError
from videostyle.frame import Image
from videostyle.perceptual import load_perceptual
from videostyle.quality import features, judge, load_photos, ssim, style_grams
from videostyle.styles import IDENTITY, StyleBank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument("--photos", type=int, default=6, help=f"how many of {len(PHOTOS)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engines", default=",".join(installed_engines()))
    parser.add_argument("--precisions", default="fp32,fp16,bf16,int8")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    net = load_perceptual(args.shared / "weights/vgg16-features.safetensors")
    bank = StyleBank.load(args.bank)
    photos = load_photos(args.shared / "photos/research", PHOTOS[: args.photos], *SIZE)
    seen = [features(photo, net) for photo in photos]
    grams = {name: style_grams(picture_of(name, args.shared), net) for name in bank.names if name != IDENTITY}

    def distance(name: str, paintings: list[Image]) -> float:
        judged = (judge(photo, features(each, net), grams[name]) for photo, each in zip(seen, paintings, strict=True))
        return mean(one.style for one in judged)

    exact = {name: [painter(bank, row)(photo) for photo in photos] for row, name in enumerate(bank.names)}
    distances = {name: distance(name, exact[name]) for name in grams}
    rows = []
    for engine in args.engines.split(","):
        for precision in args.precisions.split(","):
            try:
                loaded = load_engine(bank, engine=engine, precision=precision, device=args.device)
            except EngineError as error:
                print(f"{engine} {precision}: {error}", file=sys.stderr)
                continue
            alike, style = {}, {}
            for number, name in enumerate(bank.names):
                painted = [loaded(photo[None], bank.styles[number])[0] for photo in photos]
                alike[name] = mean(ssim(one, other) for one, other in zip(exact[name], painted, strict=True))
                if name in grams:
                    style[name] = distance(name, painted) / distances[name]
            loaded.close()
            worst = min(alike, key=lambda name: alike[name])
            row = {
                "engine": engine,
                "precision": precision,
                "ssim": round(mean(alike.values()), 4),
                "worst_ssim": round(alike[worst], 4),
                "worst_style": worst,
                "style_distance_share": round(mean(style.values()), 4),
                "largest_share": round(max(style.values()), 4),
            }
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps({"bank": str(args.bank), "photos": len(photos), "size": SIZE, "rows": rows}))


if __name__ == "__main__":
    main()
