"""Motion from frame to frame, kept on disk, and chained over many frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.errors import UsageError
from videostyle.flow import DenseFlow, Flow, luma, places, visible, warp
from videostyle.frame import Image
from videostyle.keyframes.work import write_whole

cv2: Any = opencv  # its type stubs lack half of what is used here
Finder = Callable[[Image, Image], Flow]
"""Flow from the first picture to the second, both uint8 (H, W, 3)."""
Neighbours = Callable[[int, Image, Image], tuple[Flow, Flow]]
"""Number of a frame, the frame before it and itself, uint8 (H, W, 3) -> flow from it to the one before, and back."""
_RAFT_LEAST = 128


def make_finder(kind: str, device: str) -> Finder:
    """ "dis": dense inverse search, on the processor. "raft": torchvision's RAFT (Teed and Deng 2020), downloaded once.

    Raises UsageError where RAFT's weights cannot be downloaded.
    """
    if kind == "dis":
        search = DenseFlow()
        return lambda start, end: search(luma(start), luma(end))
    from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

    try:
        net: Any = raft_large(weights=Raft_Large_Weights.C_T_SKHT_V2)
    except OSError as error:
        raise UsageError(
            f"the weights of RAFT could not be downloaded ({error}): go online once, or choose --flow dis"
        ) from error
    return raft(net, device)


def raft(net: Any, device: str) -> Finder:
    """A finder that runs a RAFT of torchvision."""
    import torch
    from torch.nn import functional as F

    net = net.eval().to(device)

    @torch.inference_mode()
    def find(start: Image, end: Image) -> Flow:
        height, width = start.shape[:2]
        right, bottom = (max(_RAFT_LEAST, -(-side // 8) * 8) - side for side in (width, height))
        pair = torch.from_numpy(np.stack([start, end])).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
        pair = F.pad(pair, (0, right, 0, bottom), mode="replicate")
        found = net(pair[:1], pair[1:])[-1][0, :, :height, :width]
        return np.asarray(found.permute(1, 2, 0).float().cpu().numpy(), np.float32)

    return find


class Flows:
    """Flow between neighbours of one film.

    folder: where it is kept, as far as ``budget`` bytes reach; what does not fit is found again whenever it is wanted.
    It is rounded to half precision in any case, so that a result does not depend on what was kept.
    """

    def __init__(self, find: Finder, folder: Path, budget: int) -> None:
        self._find, self._folder, self._budget = find, folder, budget
        folder.mkdir(exist_ok=True)
        self._used = sum(path.stat().st_size for path in folder.glob("*.npy"))

    def __call__(self, number: int, before: Image, now: Image) -> tuple[Flow, Flow]:
        """From frame ``number`` to the one before it, and back."""
        path = self._folder / f"{number:06d}.npy"
        if path.is_file():
            both = np.load(path)
        else:
            both = np.stack([self._find(now, before), self._find(before, now)]).astype(np.float16)
            if self._used + both.nbytes <= self._budget:
                self._used += both.nbytes
                write_whole(path, lambda file: np.save(file, both))
        return both[0].astype(np.float32), both[1].astype(np.float32)

    def between(self, now: Image, then: Image) -> Trace:
        """Where the pixels of one frame are in any other one, looked for directly."""
        there = self._find(now, then)
        return Trace(places(there), visible(there, self._find(then, now)).astype(np.float32))

    def clear(self) -> None:
        """Remove what is kept."""
        for path in self._folder.glob("*.npy"):
            path.unlink()
        self._used = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """at: float32 (H, W, 2), where each pixel of a frame was in another one. sure: float32 (H, W), 0 if it was not."""

    at: NDArray[np.float32]
    sure: NDArray[np.float32]

    def further(self, there: Flow, back: Flow) -> Trace:
        """The trace of a neighbouring frame: ``there`` leads from it to this one, ``back`` from this one to it.

        The places are chained, not the pictures: these are looked up once, and stay as sharp as that leaves them.
        """
        step = places(there)
        return Trace(warp(self.at, step), warp(self.sure, step) * visible(there, back))

    def grown(self, size: tuple[int, int]) -> Trace:
        """For pictures of another (width, height); itself where that is its own."""
        height, width = self.sure.shape
        if size == (width, height):
            return self
        factors = size[0] / width, size[1] / height
        at = cv2.resize((self.at + np.float32(0.5)) * np.array(factors, np.float32) - np.float32(0.5), size)
        return Trace(at, cv2.resize(self.sure, size))

    def look_up(self, painting: Image) -> NDArray[np.float32]:
        """float32 (H, W, 3), about 0 to 255, of a painting of the other frame.

        By Lanczos: bilinear look-ups blur strokes, and keyframes pop out of what is carried by being sharper.
        """
        borders = {"interpolation": cv2.INTER_LANCZOS4, "borderMode": cv2.BORDER_REPLICATE}
        return np.asarray(cv2.remap(painting.astype(np.float32), self.at, None, **borders), np.float32)


def origin(height: int, width: int) -> Trace:
    """The trace of a frame to itself."""
    return Trace(places(np.zeros((height, width, 2), np.float32)), np.ones((height, width), np.float32))


def traces(flows: Neighbours, first: int, images: Sequence[Image], *, backwards: bool = False) -> list[Trace]:
    """Where the pixels of each of a stretch of frames, beginning with number ``first``, were in the first of them;
    ``backwards``, in the last."""
    height, width = images[0].shape[:2]
    found = [origin(height, width)]
    steps = range(1, len(images))
    for step in reversed(steps) if backwards else steps:
        there, back = flows(first + step, images[step - 1], images[step])
        found.append(found[-1].further(back, there) if backwards else found[-1].further(there, back))
    return found[::-1] if backwards else found
