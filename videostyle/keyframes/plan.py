"""What is painted and what is carried: scenes, keyframes, and the stretches of frames between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from videostyle.errors import UsageError
from videostyle.frame import Frame, Image
from videostyle.keyframes.flows import Neighbours, Trace, origin
from videostyle.scaling import fit_within, scale

LEAST_APART, MOST_APART = 4, 24
"""Frames from one keyframe that was chosen by motion to the next."""
LOST = 0.3
"""Share of the last keyframe that may have gone from sight before another one is due."""
FAR = 0.1
"""How far, of the longer side, the picture may have moved on average before another one is due."""
_CUTS_AT = (320, 320)
_LEAST_SCENE = 8


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames ``first`` to ``last``, both included, and those at its ends that are keyframes.

    closes: the last frame is made here; else the next stretch begins with it.
    """

    first: int
    last: int
    left: int | None
    right: int | None
    closes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """frames: their number. scenes: the first frame of each. keyframes: frames that are painted, in order."""

    frames: int
    scenes: tuple[int, ...]
    keyframes: tuple[int, ...]

    def __post_init__(self) -> None:
        for first, end in self._spans():
            if not any(first <= key < end for key in self.keyframes):
                raise UsageError(f"frames {first} to {end - 1} are a scene without a keyframe: give one of them")
        if self.keyframes[-1] >= self.frames:
            raise UsageError(f"there is no frame {self.keyframes[-1]}: the film has {self.frames}, from 0")

    def _spans(self) -> list[tuple[int, int]]:
        return list(pairwise((*self.scenes, self.frames)))

    def stretches(self) -> list[Stretch]:
        """All of the film, in order."""
        keys, found = set(self.keyframes), []
        for first, end in self._spans():
            bounds = sorted({first, end - 1, *(key for key in keys if first <= key < end)})
            for a, b in pairwise(bounds) if len(bounds) > 1 else [(first, first)]:
                left, right = (number if number in keys else None for number in (a, b))
                found.append(Stretch(a, b, left, right, b == end - 1))
        return found

    def begins(self, number: int) -> bool:
        """Whether a keyframe is the first of its scene."""
        scene = max(first for first in self.scenes if first <= number)
        return not any(scene <= key < number for key in self.keyframes)


def make_plan(
    frames: Iterable[Frame], flows: Neighbours, *, every: int | None = None, at: Sequence[int] | None = None
) -> Plan:
    """Look through a film and choose keyframes: every so manieth of a scene, or these, or as the motion asks for.

    Raises UsageError where they do not fit the film.
    """
    cuts, keys, count = Cuts(), Keys(flows), 0
    for frame in frames:
        cuts.add(frame.image)
        if every is None and at is None:
            keys.add(frame.image)
        count += 1
    if count == 0:
        raise UsageError("there are no frames in this film")
    scenes = cuts.scenes
    if at is not None:
        return Plan(count, scenes, tuple(sorted(set(at))))
    chosen: list[int] = []
    for first, end in pairwise((*scenes, count)):
        chosen += range(first, end, every) if every else keys.within(first, end)
    return Plan(count, scenes, tuple(chosen))


class Cuts:
    """Scenes, found by PySceneDetect's adaptive detector, which knows fast motion from cuts."""

    def __init__(self) -> None:
        from scenedetect.common import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        self._detector = AdaptiveDetector(min_scene_len=_LEAST_SCENE)
        self._timecode = FrameTimecode
        self._count = 0
        self._found = [0]

    def add(self, image: Image) -> None:
        """The next frame, uint8 RGB (H, W, 3)."""
        small = scale(image, fit_within((image.shape[1], image.shape[0]), _CUTS_AT))
        timecode = self._timecode(self._count, fps=30.0)  # scenes are counted in frames: the rate says nothing
        cuts = self._detector.process_frame(timecode, np.ascontiguousarray(small[..., ::-1]))
        self._found += [cut.frame_num for cut in cuts]
        self._count += 1

    @property
    def lag(self) -> int:
        """How many frames later a cut is found."""
        return int(self._detector.event_buffer_length)

    @property
    def scenes(self) -> tuple[int, ...]:
        """The first frame of each scene so far."""
        return tuple(sorted(set(self._found)))


class Keys:
    """Keyframes where motion has led far from the last one, or hidden much of it."""

    def __init__(self, flows: Neighbours) -> None:
        self._flows = flows
        self._before: Image | None = None
        self._trace: Trace | None = None
        self._since = self._count = 0
        self._found = [0]

    def add(self, image: Image) -> None:
        """The next frame, uint8 RGB (H, W, 3)."""
        start = origin(*image.shape[:2])
        if self._before is not None and self._trace is not None:
            self._since += 1
            self._trace = self._trace.further(*self._flows(self._count, self._before, image))
            lost = 1 - float(self._trace.sure.mean())
            moved = float(np.linalg.norm(self._trace.at - start.at, axis=-1).mean()) / max(image.shape)
            due = self._since >= LEAST_APART and (lost > LOST or moved > FAR)
            if due or self._since >= MOST_APART:
                self._found.append(self._count)
                self._trace, self._since = start, 0
        else:
            self._trace = start
        self._before = image
        self._count += 1

    def within(self, first: int, end: int) -> list[int]:
        """Keyframes of a scene; the first frame is always one."""
        return [first, *(key for key in self._found if first + LEAST_APART <= key < end)]


def gather(frames: Iterable[Frame], stretches: Sequence[Stretch]) -> Iterator[tuple[Stretch, list[Frame]]]:
    """Each stretch with its frames; memory for the longest one.

    Raises UsageError where the film has fewer frames than it had when the plan was made.
    """
    source = iter(frames)
    held: list[Frame] = []
    for stretch in stretches:
        while not held or held[-1].index < stretch.last:
            frame = next(source, None)
            if frame is None:
                raise UsageError(f"the film ends before frame {stretch.last}: it is not the one that the work is for")
            held.append(frame)
        yield stretch, held
        held = [] if stretch.closes else held[-1:]
