"""What a training run looks at: crops of photos, and the Gram matrices of style pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from videostyle.errors import UsageError
from videostyle.library import shipped_folder
from videostyle.losses import gram
from videostyle.perceptual import PerceptualNet
from videostyle.pictures import load_picture
from videostyle.quality import to_tensor
from videostyle.train_options import TrainOptions

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})


def photos_in(folder: Path) -> list[Path]:
    """All pictures in a folder and those below it. Raises UsageError where there is none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not paths:
        raise UsageError(f"no photos in {folder}: give a folder of JPEG or PNG photos (a few hundred or more)")
    return paths


class Crops:
    """Random crops of photos: item i depends on (seed, i) alone, so that a resumed run sees what it would have seen.

    folder: None for the scenes that come with videostyle in their place.
    """

    def __init__(self, folder: Path | None, options: TrainOptions) -> None:
        self.options = options
        self.paths = photos_in(shipped_folder() / "scenes" if folder is None else folder)

    def batch(self, step: int) -> NDArray[np.uint8]:
        """uint8 (batch, crop, crop, 3): the crops of one step."""
        first = step * self.options.batch
        return np.stack([self[index] for index in range(first, first + self.options.batch)])

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((self.options.seed, index))
        crop, (low, high) = self.options.crop, self.options.photo_side
        image = Pillow.fromarray(load_picture(self.paths[int(rng.integers(len(self.paths)))]))
        scale = rng.uniform(low, high) / min(image.size)
        size = [max(crop, round(side * scale)) for side in image.size]
        x, y = (int(rng.integers(side - crop + 1)) for side in size)
        # Resizing only the box that is kept is several times cheaper than the whole photo.
        fx, fy = image.width / size[0], image.height / size[1]
        box = (x * fx, y * fy, (x + crop) * fx, (y + crop) * fy)
        out = np.asarray(image.resize((crop, crop), Pillow.Resampling.BICUBIC, box=box))
        return np.ascontiguousarray(out[:, ::-1] if rng.integers(2) else out)


def picture_grams(
    picture: Path | NDArray[np.uint8], net: PerceptualNet, options: TrainOptions, seed: int = 0
) -> dict[str, Tensor]:
    """Gram matrices of a style picture, a file or uint8 (H, W, 3): layer -> float32 (options.augment, C, C)."""
    rng = np.random.default_rng(seed)
    image = Pillow.fromarray(load_picture(picture) if isinstance(picture, Path) else picture)
    variants: list[dict[str, Tensor]] = []
    for i in range(options.augment):
        scale = options.picture_side / max(image.size)
        view = image
        if i:  # the first variant is the picture as it is
            scale *= math.exp(rng.uniform(-1, 1) * math.log(options.augment_scale))
            angle = rng.uniform(-1, 1) * options.augment_turn
            view = view.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT) if rng.integers(2) else view
            turned = view.rotate(angle, Pillow.Resampling.BICUBIC)
            margin = math.sin(math.radians(abs(angle))) * 0.5  # cut off the empty corners
            w, h = view.size
            view = turned.crop((round(h * margin), round(w * margin), round(w - h * margin), round(h - w * margin)))
        size = [max(16, round(side * scale)) for side in view.size]
        pixels = np.asarray(view.resize((size[0], size[1]), Pillow.Resampling.LANCZOS))
        features = net(to_tensor(pixels).to(net.device), options.style_layers)
        variants.append({name: gram(value)[0] for name, value in features.items()})
    return {name: torch.stack([variant[name] for variant in variants]) for name in options.style_layers}
