"""How smoothed pictures are put together on a card, by PyTorch: bytes go up and come down, all else stays there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videostyle.compositor import SHARPER, Map
from videostyle.engines.arguments import out_of_memory
from videostyle.flow import RUN, Flow, runs
from videostyle.frame import Image


class CardCompositor:
    """See ``videostyle.compositor.Compositor``. The host's rounds more often, and takes shares of pixels from those at
    the edges and the middle of their run: by a level, in maps as smooth as those of ``videostyle.temporal``.

    device: of PyTorch, as "cuda:1". Pictures are kept there as uint8 (1, 3, H, W), three of them; to put one together
    takes about 70 bytes a pixel besides, 0.6 GB at 3840x2160. Raises EngineError where they do not fit.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._card = self._device.type == "cuda"
        self._stream = torch.cuda.Stream(self._device) if self._card else None
        self._shown = self._start = self._goal = torch.zeros((1, 3, 0, 0), dtype=torch.uint8)

    def begin(self, painting: Image) -> None:
        with self._working(painting):
            self._shown = self._start = self._goal = self._picture(painting)

    def hold(self, painting: Image, kept: Map) -> Image:
        with self._working(painting):
            self._shown = self._onto(painting, kept)
            return self._down(self._shown)

    def sharpen(self, where: Map) -> None:
        with self._working(where):
            share = self._enlarged(where)
            self._start, self._goal = (_sharper(picture, share) for picture in (self._start, self._goal))

    def compose(self, painting: Image, share: float, since: Flow, last: Flow, new: Map, held: Map) -> Image:
        with self._working(painting):
            carried = torch.lerp(self._start.float(), self._goal.float(), share)
            carried = self._moved(carried, since)
            fresh = self._picture(painting).float()
            fresh = torch.lerp(fresh, self._moved(self._shown.float(), last), self._enlarged(held))
            self._shown = _bytes(torch.lerp(carried, fresh, self._enlarged(new)))
            return self._down(self._shown)

    def turn(self, painting: Image, kept: Map) -> None:
        with self._working(painting):
            self._start, self._goal = self._shown, self._onto(painting, kept)

    @contextmanager
    def _working(self, picture: NDArray[Any]) -> Iterator[None]:
        """On a stream of its own, so that the net paints the next picture meanwhile."""
        stream = torch.cuda.stream(self._stream) if self._stream is not None else nullcontext()
        try:
            with torch.inference_mode(), stream:
                yield
        except torch.OutOfMemoryError as error:
            raise out_of_memory(picture[None], str(self._device)) from error

    def _up(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return tensor.pin_memory().to(self._device, non_blocking=True) if self._card else tensor

    def _down(self, picture: Tensor) -> Image:
        host = torch.empty((*picture.shape[2:], 3), dtype=torch.uint8, pin_memory=self._card)
        host.copy_(picture[0].permute(1, 2, 0), non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        return host.numpy()

    def _picture(self, painting: Image) -> Tensor:
        return self._up(painting).permute(2, 0, 1)[None].clone()

    def _enlarged(self, small: NDArray[np.float32]) -> Tensor:
        """(h, w) or (h, w, C) as (1, C, H, W)."""
        planes = self._up(small.reshape(*small.shape[:2], -1)).permute(2, 0, 1)[None]
        return F.interpolate(planes, self._shown.shape[2:], mode="bilinear", align_corners=False)

    def _moved(self, picture: Tensor, flow: Flow) -> Tensor:
        height, width = picture.shape[2:]
        x, y = self._runs(flow, width, height)
        x = x * (width / flow.shape[1]) + torch.arange(width, device=self._device)
        y = y * (height / flow.shape[0]) + torch.arange(height, device=self._device)[:, None]
        # From pixels to what grid_sample takes: -1 and 1 are the middles of the first and the last.
        at = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], -1)[None]
        return F.grid_sample(picture, at, mode="bilinear", padding_mode="border", align_corners=True)

    def _runs(self, flow: Flow, width: int, height: int) -> Tensor:
        """(2, H, W): every pixel moves as the middle of its run does."""
        before, between = (self._up(each) for each in runs(width, flow.shape[1]))
        planes = self._up(np.pad(flow, ((0, 0), (1, 1), (0, 0)), "edge")).permute(2, 0, 1)[None]
        tall = F.interpolate(planes, (height, planes.shape[3]), mode="bilinear", align_corners=False)[0]
        return torch.lerp(tall[..., before], tall[..., before + 1], between).repeat_interleave(RUN, -1)[..., :width]

    def _onto(self, painting: Image, kept: Map) -> Tensor:
        return _bytes(torch.lerp(self._picture(painting).float(), self._shown.float(), self._enlarged(kept)))


def _sharper(picture: Tensor, where: Tensor) -> Tensor:
    values = picture.float()
    blurred = F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return _bytes(torch.lerp(values, torch.clamp(values + SHARPER * (values - blurred), 0, 255), where))


def _bytes(values: Tensor) -> Tensor:
    return values.add_(0.5).clamp_(0, 255).to(torch.uint8)
