"""Learning one style from its pictures in a minute or two, on the body of a trained bank (Dumoulin et al. 2017).

The body stays as it is; all that is trained is the style's vector. So few numbers need no photos: scenes that come with
videostyle, drawn to be as varied as photos are, do. The vector starts from the known style whose paintings are nearest
to the pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videostyle.engines.pytorch import precisions
from videostyle.errors import TrainingError, UsageError
from videostyle.frame import Image
from videostyle.learned import LearnedStyle
from videostyle.perceptual import PerceptualNet
from videostyle.pictures import encode_jpeg, load_picture
from videostyle.quality import to_tensor
from videostyle.styles import IDENTITY, StyleBank, StyleCard
from videostyle.train import RANGED, Trainer
from videostyle.train_options import StyleSpec, TrainOptions

STROKES = {"small": 320, "medium": 512, "large": 768}
"""Longer side in pixels at which pictures are looked at: the larger they are, the larger are their strokes."""
SMALLEST = 32
"""Pictures with a shorter side than this have no strokes to learn."""
STYLE_WEIGHT, GENTLE = 12.0, 4.0
"""Weight of style against content, and where faces are to be kept."""
BATCH, CROP = 1, 224
POOL, HELD_OUT = 96, 4
"""Crops, and those of them that tell how good the vector is and are not learned on."""
CHECK_EVERY = 8.0
"""Seconds between two looks at how good it is."""
FAR = 1.0
"""Style distance on the shipped scenes beyond which paintings are little like the pictures: of six pictures, four came
to 0.38 to 0.46, one that was half painted to 0.84, and one that was not to 1.27."""


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """How to learn a style.

    stroke: "small", "medium" or "large". gentle: keep more of the photo, faces above all. seconds: time to learn in,
    from the loading of the pictures on; the default leaves some of two minutes for start and end. steps: the most
    optimiser steps that are taken in it. rate: peak learning rate. seed: of the crops.
    """

    stroke: str = "medium"
    gentle: bool = False
    seconds: float = 117.0
    steps: int = 500
    rate: float = 0.06
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stroke not in STROKES:
            raise UsageError(f"stroke must be one of {', '.join(STROKES)}, not {self.stroke!r}")
        if not self.seconds > 0 or self.steps < 1:
            raise UsageError(f"{self.seconds:g} seconds and {self.steps} steps are no time to learn in")


@dataclass(frozen=True, slots=True)
class LearnProgress:
    """What is told after every step.

    done: share of the run that is over, in [0, 1]. style, content: distances of the best vector so far (as in
    ``videostyle.losses``, on crops that are not learned on). vector: float32 (P,), where a better one was found.
    """

    step: int
    done: float
    seconds_left: float
    style: float
    content: float
    vector: NDArray[np.float32] | None = None


class Learner:
    """All the state of learning one style; ``style`` has the best so far at any time.

    pictures: uint8 RGB (H, W, 3), at least one, as ``picture_of`` reads them; several make one style, the mean of their
    Gram matrices. bank: on whose body. photos: a folder to learn on in place of the shipped scenes. end: when to
    be ready, as of ``time.perf_counter``; None for ``options.seconds`` from now.

    Raises UsageError for a bank without styles to start from, and for a folder without photos.
    """

    def __init__(
        self,
        pictures: Sequence[Image],
        card: StyleCard,
        bank: StyleBank,
        options: LearnOptions,
        perceptual: PerceptualNet,
        photos: Path | None = None,
        device: str = "cpu",
        end: float | None = None,
    ) -> None:
        self._began = perf_counter()
        self._end = self._began + options.seconds if end is None else end
        self._bank, self._card, self._options = bank, card, options
        if bank.config.kind != "stylenet" or not {*bank.names} - {IDENTITY}:
            raise UsageError(f"{bank.path} has no styles that a new one could start from: choose another bank")
        self.pictures = tuple(pictures)
        train = _train_options(options, device)
        first, *others = self.pictures
        spec = StyleSpec(first, card, more=tuple(others))
        with tempfile.TemporaryDirectory(prefix="videostyle-") as unused:  # nothing is resumed: nothing is kept
            self._trainer = Trainer(
                [spec], photos, Path(unused), train, base=bank, perceptual=perceptual, device=device
            )
        crops = self._trainer.crops
        pool = to_tensor(np.stack([crops[number] for number in range(POOL)])).to(device)
        self._pool = pool.contiguous(memory_format=torch.channels_last)
        self._kept: dict[int, dict[str, Tensor]] = {}
        self._learned_on = f"{len(crops.paths)} photos" if photos else "the shipped scenes"
        self.start = self._trainer.began[0]
        self._vector: NDArray[np.float32] = bank.styles[bank.names.index(self.start)].astype(np.float32)
        self._best = self._measure(self._trainer.average[0])

    def _content(self, crops: Iterable[int]) -> dict[str, Tensor]:
        """Of crops of the pool, each looked at once, when it is first wanted."""
        for crop in set(crops) - set(self._kept):
            self._kept[crop] = self._trainer.content(self._pool[crop : crop + 1])
        return {name: torch.cat([self._kept[crop][name] for crop in crops]) for name in self._kept[0]}

    @torch.no_grad()
    def _measure(self, vector: Tensor) -> dict[str, float]:
        """Distances of the paintings of the crops that are held out."""
        trainer = self._trainer
        now = trainer.styles.data.clone()
        trainer.styles.data.copy_(vector)
        none = torch.zeros(HELD_OUT, dtype=torch.long)
        found = trainer.losses(self._pool[:HELD_OUT], none, none, self._content(range(HELD_OUT)))
        trainer.styles.data.copy_(now)
        return {name: float(found[name]) for name in ("style", "content", "paint")}

    def run(self, tell: Callable[[LearnProgress], None] = lambda progress: None) -> LearnedStyle:
        """Learn until the time or the steps are over, and return the best.

        Raises TrainingError where a loss is no finite number; ``style`` has what was best before then.
        """
        o, trainer, done = self._options, self._trainer, 0.0
        draw = np.random.default_rng(o.seed)
        started = checked = perf_counter()
        while done < 1:
            chosen = (HELD_OUT + draw.choice(POOL - HELD_OUT, BATCH, replace=False)).tolist()
            try:
                trainer.update(self._pool[chosen], self._content(chosen), done)
            except TrainingError as error:
                raise TrainingError(
                    f"step {trainer.step}: the loss is no finite number any more: try --gentle, or another --stroke"
                ) from error
            now = perf_counter()
            spent, time = now - started, self._end - started
            done = min(1.0, max(trainer.step / o.steps, spent / time if time > 0 else 1.0))
            better = None
            if done == 1 or now - checked >= CHECK_EVERY:
                checked = now
                better = self._check()
            left = spent * (1 - done) / done
            tell(LearnProgress(trainer.step, done, left, self._best["style"], self._best["content"], better))
        return self.style

    def _check(self) -> NDArray[np.float32] | None:
        """The averaged vector, if it is better than the best so far, which it becomes."""
        found = self._measure(self._trainer.average[0])
        if not found["paint"] < self._best["paint"]:
            return None
        self._best, self._vector = found, self.present
        return self._vector

    @property
    def present(self) -> NDArray[np.float32]:
        """float32 (P,): the averaged vector of now, good or not."""
        found: NDArray[np.float32] = self._trainer.average[0][0].cpu().numpy().copy()
        return found

    @property
    def style(self) -> LearnedStyle:
        """The best so far."""
        recipe: dict[str, Any] = {
            "options": asdict(self._options),
            "steps": self._trainer.step,
            "seconds": round(perf_counter() - self._began, 1),
            "start": self.start,
            "learned_on": self._learned_on,
            "compared_by": "compact VGG" if self._trainer.vgg.compact else "VGG",
            "losses": {name: round(value, 3) for name, value in self._best.items()},
        }
        bank, files = self._bank, tuple(encode_jpeg(picture) for picture in self.pictures)
        ranges = self._trainer.ranges(self._pool[:RANGED], self._vector) if bank.ranges else {}
        return LearnedStyle(self._card, self._vector, bank.body_hash, bank.config, ranges, recipe, files)


def picture_of(path: Path) -> Image:
    """A picture to learn from, uint8 (H, W, 3), no larger than is looked at.

    Raises UsageError where it is too small, SourceError where it is no picture.
    """
    image = load_picture(path, max_side=max(STROKES.values()))
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise UsageError(
            f"{path} has {width}x{height} pixels, which show no strokes: give a picture of {SMALLEST} or more a side"
        )
    return image


def _train_options(options: LearnOptions, device: str) -> TrainOptions:
    kind = "bf16" if "bf16" in precisions(torch.device(device)) else "fp32"
    return TrainOptions(
        steps=options.steps,
        batch=BATCH,
        crop=CROP,
        picture_side=STROKES[options.stroke],
        style_weight=GENTLE if options.gentle else STYLE_WEIGHT,
        temporal_weight=0.0,  # the body has learned to hold still
        feature_weight=0.0,
        rate=options.rate,
        warmup=5,
        average=0.95,
        precision=kind,
        seed=options.seed,
    )
