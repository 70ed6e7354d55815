"""What is painted where no keyframe shows anything."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from safetensors.torch import load, save

from videostyle.flow import Mask
from videostyle.frame import Frame, Image
from videostyle.keyframes.carry import LEAST_HOLE, Fill
from videostyle.keyframes.plan import Plan
from videostyle.keyframes.work import WorkFolder, write_whole
from videostyle.optimize import Guide, PictureOptimizer
from videostyle.optimize_bank import BankNet
from videostyle.pictures import load_picture, write_picture
from videostyle.scaling import scale

FIRM = 3000.0
"""How firmly a frame that is filled by optimisation is held to what is known of it; more would stiffen its holes."""


def optimizing_fill(optimizer: PictureOptimizer, work: WorkFolder) -> Fill:
    """A few iterations on the whole frame, held fast outside of the holes; kept in the work folder."""

    def fill(number: int, photo: Image, painting: Image, holes: Mask) -> Image:
        if holes.mean() < LEAST_HOLE:
            return painting
        path = work.fill(number)
        if not path.is_file():
            guide = Guide(painting, np.where(holes, 0, FIRM).astype(np.float32))
            write_picture(path, optimizer.paint(photo, start=painting, guide=guide, coarse=False))
        return load_picture(path)

    return fill


def apart(one: Image, other: Image) -> float:
    """Mean absolute difference of two pictures, uint8 (H, W, 3), at the size of the first, 0 to 255."""
    height, width = one.shape[:2]
    return float(np.abs(one.astype(np.int16) - scale(other, (width, height))).mean())


def bank_fill(net: BankNet, film: Iterable[Frame], plan: Plan, work: WorkFolder) -> Fill:
    """A feed-forward net tuned on the keyframes paints them; what it learned is kept in the work folder."""
    path = work.folder / "tuned.safetensors"
    if not path.is_file():
        wanted = set(plan.keyframes)
        pairs = [(f.image, load_picture(work.keyframe(f.index))) for f in film if f.index in wanted]
        net.tune(pairs)
        write_whole(path, lambda file: file.write(save(net.state())))
    net.load_state(load(path.read_bytes()))
    return lambda number, photo, painting, holes: net(photo)
