"""python -m benchmarks.quality: how much of each picture's style a bank paints, and how much of the photo it keeps.

20 photos that no net was trained on, cut to 640x360; style and content distance as ``videostyle.quality.judge`` defines
them, with the picture at 512 px. The unstyled photo (content 0) and the identity style stand beside the styles.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from videostyle.frame import Image
from videostyle.library import shipped_folder
from videostyle.net import build
from videostyle.perceptual import load_perceptual
from videostyle.pictures import load_picture, save_picture
from videostyle.quality import Judgement, features, judge, load_photos, style_grams, to_tensor
from videostyle.styles import IDENTITY, StyleBank

PHOTOS = tuple(
    f"{name}.jpg"
    for name in (
        *("mmpose_0002", "mmpose_0027", "mmpose_0030", "mmpose_0043", "mmpose_0053", "coco_0008", "coco_0017"),
        *("coco_0027", "coco_0036", "coco_0049", "coco_0061", "coco_0064", "bsds_0003", "bsds_0046", "bsds_0131"),
        *("houses_0014", "urban100_0026", "camvid_0000", "nyu_0003", "dicm_0017"),
    )
)
SIZE = (640, 360)


def picture_of(name: str, shared: Path) -> Image:
    """What a style of the shipped bank was learned from: a picture of this project's own, or one of ``shared``."""
    own = shipped_folder() / f"pictures/{name}.jpg"
    return load_picture(own if own.is_file() else shared / f"styles/{name}.jpg")


def painter(bank: StyleBank, row: int) -> Callable[[Image], Image]:
    """Eager fp32 PyTorch: the reference that engines are compared with."""
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
    vector = torch.from_numpy(bank.styles[row : row + 1])

    def paint(photo: Image) -> Image:
        with torch.inference_mode():
            out = net(to_tensor(photo), vector)
        painted: Image = (out[0].permute(1, 2, 0) * 255).round().byte().numpy()
        return painted

    return paint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared")))
    parser.add_argument("--perceptual", type=Path, help="VGG-16 weights (default: vgg16-features of --shared)")
    parser.add_argument("--styles", type=lambda text: text.split(","), help="only these (default: all)")
    parser.add_argument("--write-card", action="store_true", help="write the figures into the bank's card")
    parser.add_argument("--pictures", type=Path, help="save the paintings of every photo into this folder")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    net = load_perceptual(args.perceptual or args.shared / "weights/vgg16-features.safetensors")
    photos = load_photos(args.shared / "photos/research", PHOTOS, *SIZE)
    bank = StyleBank.load(args.bank)
    seen = [features(photo, net) for photo in photos]
    rows: dict[str, dict[str, float]] = {}
    for row, name in enumerate(bank.names):
        if args.styles and name not in args.styles:
            continue
        paint = painter(bank, row)
        paintings = [paint(photo) for photo in photos]
        if args.pictures:
            for number, painting in enumerate(paintings):
                args.pictures.mkdir(parents=True, exist_ok=True)
                save_picture(args.pictures / f"{name}-{number:02d}.png", painting, force=True)
        if name == IDENTITY:
            errors = [np.abs(a.astype(int) - b).mean() / 255 for a, b in zip(photos, paintings, strict=True)]
            rows[name] = {"mean_absolute_error": float(np.mean(errors))}
        else:
            grams = style_grams(picture_of(name, args.shared), net)
            judged = [
                judge(photo, features(painting, net), grams) for photo, painting in zip(seen, paintings, strict=True)
            ]
            rows[name] = asdict(Judgement(mean(j.style for j in judged), mean(j.content for j in judged)))
            rows[name]["photo"] = mean(judge(photo, photo, grams).style for photo in seen)
        print(f"{name:24}" + "  ".join(f"{k} {v:.3f}" for k, v in rows[name].items()), file=sys.stderr, flush=True)
    styles = [value for name, value in rows.items() if name != IDENTITY]
    average = {key: mean(value[key] for value in styles) for key in ("style", "content", "photo")}
    print(f"{'mean':24}" + "  ".join(f"{k} {v:.3f}" for k, v in average.items()), file=sys.stderr)
    if args.write_card:
        from dataclasses import replace

        figures = {name: {k: round(v, 3) for k, v in row.items() if k != "photo"} for name, row in rows.items()}
        cards = tuple(replace(card, quality=figures.get(card.name, card.quality)) for card in bank.cards)
        bank.with_cards(cards).save(args.bank)
    if args.json:
        print(
            json.dumps({"bank": str(args.bank), "photos": len(photos), "size": SIZE, "styles": rows, "mean": average})
        )


if __name__ == "__main__":
    main()
