"""Calibrating a bank for int8: what range of values enters each convolution, over photos and styles.

NNCF (Kozlov et al. 2020) watches the OpenVINO graph and chooses the ranges; they are kept in the bank, so that running
it needs neither NNCF nor photos. ``python -m videostyle.quantize BANK --photos FOLDER`` does it for a file.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videostyle.errors import EngineError, TrainingError
from videostyle.pictures import FORMATS, load_picture
from videostyle.styles import Range, StyleBank

SAMPLES = 96
SIDE = 512
"""Longer side of the photos in pixels."""

KEPT_EXACT = ["Add", "Multiply", "MVN", "Pad", "DepthToSpace"]
"""Operations that stay out of int8: they cost next to nothing, and residuals and norms need the exact values."""


def can_calibrate() -> bool:
    """Whether what ``calibrate`` needs is installed: pip install 'videostyle[quantize]'."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "nncf"))


def calibrate(bank: StyleBank, photos: Path, *, samples: int = SAMPLES, seed: int = 0) -> StyleBank:
    """The same bank with ``ranges``, so that it runs in int8.

    photos: folder whose pictures are painted, each in another style or blend of styles: every style by itself first,
    then blends by weights from a Dirichlet distribution, the identity among them.

    Raises EngineError where OpenVINO or NNCF are missing, TrainingError where the folder holds no picture.
    """
    if not can_calibrate():
        raise EngineError("calibrating for int8 needs OpenVINO and NNCF: pip install 'videostyle[quantize]'")
    import nncf

    from videostyle.engines.openvino_graph import build

    logging.getLogger("nncf").setLevel(logging.ERROR)
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in FORMATS)
    if not paths:
        raise TrainingError(f"{photos} holds no pictures to calibrate with: name a folder of photos")
    random = np.random.default_rng(seed)
    chosen = random.choice(len(paths), samples, replace=len(paths) < samples)
    inputs = [
        {0: load_picture(paths[number], max_side=SIDE)[None], 1: vector}
        for number, vector in zip(chosen, _vectors(bank, random), strict=False)
    ]
    scope = nncf.IgnoredScope(types=KEPT_EXACT, validate=False)
    model = nncf.quantize(build(bank), nncf.Dataset(inputs), subset_size=samples, ignored_scope=scope)
    return replace(bank, ranges=dict(_ranges(model)))


def _vectors(bank: StyleBank, random: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Style vectors (1, P) without end."""
    rows = bank.styles
    yield from rows[:, None]
    while True:
        yield (random.dirichlet(np.full(len(rows), 0.3)) @ rows)[None].astype(np.float32)


def _ranges(model: Any) -> Iterator[tuple[str, Range]]:
    """(name, range) of what enters each convolution of a model that NNCF quantised."""
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            source = node.input_value(0).node
            while source.get_type_name() in ("Pad", "Transpose"):
                source = source.input_value(0).node
            if source.get_type_name() == "FakeQuantize":
                low, high = (source.input_value(i).node.data for i in (1, 2))
                yield node.friendly_name, (float(low.min()), float(high.max()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m videostyle.quantize", description=__doc__)
    parser.add_argument("bank", type=Path, help="it is written again, with what int8 needs")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    args = parser.parse_args()
    bank = calibrate(StyleBank.load(args.bank), args.photos)
    bank.save(args.bank)
    print(f"{args.bank}: {len(bank.ranges)} convolutions can run in int8")


if __name__ == "__main__":
    main()
