"""What is put together on a card is what is put together in host memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.banks import tiny_bank
from tests.test_flow import texture
from tests.test_stylizer import at
from videostyle.compositor import Compositor, HostCompositor, compositor
from videostyle.compositor_card import CardCompositor
from videostyle.engines import load_engine
from videostyle.errors import EngineError
from videostyle.frame import Image
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer
from videostyle.temporal import Smoother

CARDS = [
    "cpu",  # the same arithmetic
    pytest.param(
        "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")]
    ),
]


def film(size: tuple[int, int], count: int = 20) -> list[Image]:
    """A window that wanders over a texture, comes to rest, and jumps near the end."""
    grey = texture(size[0] + 10, size[1] + 80)
    wide = np.stack([grey, 255 - grey, grey // 2], -1)
    shifts = [min(3 * index, 30) for index in range(count - 2)] + [70, 73]
    return [np.ascontiguousarray(wide[5 : 5 + size[0], x : x + size[1]]) for x in shifts]


def smoothed(canvas: Compositor, photos: list[Image]) -> list[Image]:
    smoother, rng = Smoother(0.9, canvas), np.random.default_rng(0)
    shown = []
    for photo in photos:
        painting = np.clip(255 - photo + rng.normal(0, 12, photo.shape), 0, 255).astype(np.uint8)
        shown.append(smoother.blend(painting, smoother.follow(smoother.see(photo))))
    return shown


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("size", [(240, 320), (243, 331), (36, 64)])
def test_a_card_puts_together_what_the_host_does(device: str, size: tuple[int, int]) -> None:
    photos = film(size)
    for host, card in zip(smoothed(HostCompositor(), photos), smoothed(CardCompositor(device), photos), strict=True):
        apart = np.abs(host.astype(int) - card)
        # OpenCV looks up at 32nds of a pixel and rounds to bytes on the way.
        assert apart.mean() < 0.75
        assert np.percentile(apart, 99) <= 4


def test_what_is_no_card_is_put_together_by_the_host() -> None:
    assert isinstance(compositor("cpu"), HostCompositor)


def test_a_card_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = CardCompositor("cpu")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(canvas, "_up", full)
    with pytest.raises(EngineError, match=r"not enough memory for 1 picture.* of 40x30"):
        canvas.begin(np.zeros((30, 40, 3), np.uint8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")
def test_a_stream_of_a_card_is_smoothed_there() -> None:
    bank = tiny_bank()
    engine = load_engine(bank, engine="pytorch", device="cuda", throughput=True)
    assert isinstance(compositor(engine.device), CardCompositor)
    frames = [at(0.04 * index, photo) for index, photo in enumerate(film((240, 320)))]
    mix = parse_mix(bank.names[-1])
    streamed = [frame.image for frame in Stylizer(engine, bank, mix, smooth="auto").stream(frames)]
    stylizer = Stylizer(engine, bank, mix, smooth="auto")
    single = [stylizer(frame).image for frame in frames]
    assert all(np.array_equal(one, other) for one, other in zip(streamed, single, strict=True))
    engine.close()
