"""Keyframes, painted one after the other so that each agrees with those before it (Ruder et al. 2016)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videostyle.errors import UsageError
from videostyle.frame import Frame, Image
from videostyle.keyframes.flows import Flows, traces
from videostyle.keyframes.plan import Plan, Stretch, gather
from videostyle.keyframes.work import WorkFolder
from videostyle.optimize import Guide, PictureOptimizer, Step
from videostyle.pictures import load_picture, write_picture

LONG_TERM = 1
"""How many keyframes before the last one are looked at for what the last one did not show."""


class KeyframePainter:
    """Paints what the work folder lacks.

    flows, work: of the film. begin: what the first keyframe of a scene starts with, made from its photo; None for what
    the optimizer's options say. consistency: weight of the squared difference, in [0, 1], to the keyframes before,
    moved as the film moved.
    told: called after each iteration. finished: called with the number of each keyframe that is there.
    """

    def __init__(
        self,
        optimizer: PictureOptimizer,
        flows: Flows,
        work: WorkFolder,
        *,
        consistency: float,
        begin: Callable[[Image], Image] | None = None,
        told: Callable[[Step], None] = lambda step: None,
        finished: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._optimizer, self._flows, self._work = optimizer, flows, work
        self._consistency, self._begin = consistency, begin
        self._told, self._finished = told, finished
        self._known: deque[tuple[int, Image, Image]] = deque(maxlen=1 + LONG_TERM)  # number, photo, painting

    def paint(self, film: Iterable[Frame], plan: Plan) -> None:
        """All keyframes. Raises EngineError where the loss is no number, SinkError where the disk fails."""
        for stretch, frames in gather(film, plan.stretches()):
            for number in (stretch.left, stretch.right):
                if number is not None and not (self._known and self._known[-1][0] >= number):
                    self._one(number, stretch, frames, plan)

    def _one(self, number: int, stretch: Stretch, frames: list[Frame], plan: Plan) -> None:
        photo = frames[number - stretch.first].image
        if plan.begins(number):
            self._known.clear()
        path = self._work.keyframe(number)
        if not path.is_file():
            state = path.with_suffix(".safetensors")
            start, guide = self._from_before(photo, stretch, frames) if self._known else (self._start(photo), None)
            painting = self._optimizer.paint(
                photo, start=start, guide=guide, coarse=guide is None, kept=state, told=self._told
            )
            write_picture(path, painting)
            state.unlink(missing_ok=True)
        self._known.append((number, photo, load_picture(path)))
        self._finished(number)

    def _start(self, photo: Image) -> Image | None:
        return None if self._begin is None else self._begin(photo)

    def _from_before(self, photo: Image, stretch: Stretch, frames: list[Frame]) -> tuple[Image, Guide]:
        """What the keyframes before say of this one, and how far they are to be trusted."""
        images = [frame.image for frame in frames]
        found = [(traces(self._flows, stretch.first, images)[-1], self._known[-1][2])]
        found += [(self._flows.between(photo, then), painting) for _, then, painting in list(self._known)[-2::-1]]
        begun = self._start(photo)
        start = (photo if begun is None else begun).astype(np.float32)
        trusted = np.zeros(photo.shape[:2], np.float32)
        for trace, painting in found:
            # Older ones count only where newer ones do not (equation 9).
            share = np.maximum(trace.sure - trusted, 0)
            start += share[..., None] * (trace.look_up(painting) - start)
            trusted += share
        image = _bytes(start)
        return image, Guide(image, trusted * np.float32(self._consistency))


def _bytes(image: NDArray[np.float32]) -> Image:
    return np.asarray((image + 0.5).clip(0, 255), np.uint8)


def import_painted(folder: Path, size: tuple[int, int]) -> dict[int, Path]:
    """Frame number to picture, of a folder of painted frames: the last number in each name.

    size: (width, height) that they must have. Raises UsageError for an empty folder and for pictures of another size.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder of painted frames at {folder}")
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.png")):
        numbers = re.findall(r"\d+", path.stem)
        if not numbers:
            raise UsageError(f"{path}: a painted frame has its number in its name, like 000120.png")
        if int(numbers[-1]) in found:
            raise UsageError(f"{path} and {found[int(numbers[-1])]} are the same frame")
        shape = load_picture(path).shape
        if (shape[1], shape[0]) != size:
            raise UsageError(f"{path} is {shape[1]}x{shape[0]}; frames of this film are {size[0]}x{size[1]}")
        found[int(numbers[-1])] = path
    if not found:
        raise UsageError(f"{folder} holds no painted frames: PNG files with frame numbers in their names")
    return found
