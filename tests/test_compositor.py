"""What is put together on a card is what is put together in host memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.banks import tiny_bank
from tests.test_flow import texture
from tests.test_stylizer import at
from videostyle import compositor_loops as loops
from videostyle import temporal
from videostyle.compositor import SHARPER, Compositor, HostCompositor, Map, compositor
from videostyle.compositor_card import CardCompositor
from videostyle.engines import load_engine
from videostyle.errors import EngineError
from videostyle.flow import Flow
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
        # The host looks up at 32nds of a pixel, rounds to bytes on the way, and has one motion for a run of pixels.
        assert apart.mean() < 0.75
        assert np.percentile(apart, 99) <= 4


def sparse(rng: np.random.Generator, size: tuple[int, int], most: float) -> Map:
    """Smooth blobs on nothing."""
    blobs = np.where(rng.random(size) < 0.01, most, 0).astype(np.float32)
    return np.asarray(cv2.blur(blobs, (7, 5)) * 12, np.float32)


@pytest.mark.parametrize("size", [(240, 320), (243, 331), (36, 64), (20, 50), (360, 640), (1, 200)])
def test_the_host_puts_together_what_opencv_does_step_by_step(size: tuple[int, int]) -> None:
    height, width = size
    small = max(16, height // 3), max(16, width // 3)
    rng, canvas = np.random.default_rng(3), HostCompositor(ThreadPoolExecutor(2))

    def picture() -> Image:
        return np.asarray(cv2.blur(rng.integers(0, 256, (*size, 3), np.uint8), (5, 5)), np.uint8)

    # In small pixels, of the run of four that each pixel moves with, its middle, and its edges.
    middles, lefts, rights = ((np.arange(width) // 4 * 4 + k) * small[1] / width - 0.5 for k in (2, 0, 4))
    inside = (np.arange(width) % 4 + 0.5) / 2

    def across(plane: Map, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(places, range(small[1]), row) for row in plane])

    def large(plane: Map) -> NDArray[np.float32]:
        left, middle, right = (across(plane, places) for places in (lefts, middles, rights))
        wide = np.where(inside < 1, left + (middle - left) * inside, middle + (right - middle) * (inside - 1))
        return np.asarray(cv2.resize(wide, (width, height)), np.float32)

    def moved(image: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
        x, y = (
            cv2.resize(np.stack([np.interp(middles, range(small[1]), row) for row in flow[..., k]]), (width, height))
            for k in (0, 1)
        )
        x = x * width / small[1] + np.arange(width)
        y = y * height / small[0] + np.arange(height)[:, None]
        places = np.dstack([x, y]).astype(np.float32)
        return np.asarray(cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)  # type: ignore[call-overload]

    start, goal = picture(), picture()
    canvas.begin(start)
    kept = np.minimum(sparse(rng, small, 1), 1)
    canvas.turn(goal, kept)
    shown = start.astype(np.float32)
    aim = goal + (shown - goal) * large(kept)[..., None]
    for share in (0.3, 0.7, 1.0):
        painting = picture()
        since, last = (np.dstack([sparse(rng, small, 3), sparse(rng, small, -2)]) for _ in range(2))
        new, held = (np.minimum(sparse(rng, small, 1), 1) for _ in range(2))
        new[:, small[1] // 2 :] = 1
        out = canvas.compose(painting, share, since, last, new, held)
        carried = moved(start + (aim - start) * np.float32(share), since)
        fresh = painting + (moved(shown, last) - painting) * large(held)[..., None]
        expected = carried + (fresh - carried) * large(new)[..., None]
        assert np.abs(expected - out).max() < 4  # of bytes that are rounded three times, at 32nds of a pixel
        assert np.abs(np.mean(expected - out)) < 0.1
        shown = out.astype(np.float32)
    where = np.minimum(sparse(rng, small, 1), 1)
    canvas.begin(start)
    canvas.sharpen(where)
    rest = np.zeros(small, np.float32)
    out = canvas.compose(start, 0.0, np.zeros((*small, 2), np.float32), np.zeros((*small, 2), np.float32), rest, rest)
    values = start.astype(np.float32)
    blurred = cv2.blur(values, (3, 3), borderType=cv2.BORDER_REPLICATE)
    sharp = np.clip(values + SHARPER * (values - blurred), 0, 255)
    assert np.abs(values + (sharp - values) * large(where)[..., None] - out).max() < 1.5  # rounded twice


@pytest.mark.parametrize("motion", [(260, 260), (-260, 0), (300, 4)])
@pytest.mark.parametrize("cells", [4, 9, 20])
def test_however_far_and_large_it_is_looked_up_where_it_was(motion: tuple[int, int], cells: int) -> None:
    small, canvas = (40, 60), HostCompositor()
    size = small[0] * cells + 300, small[1] * cells + 300
    start = np.asarray(cv2.blur(np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8), (5, 5)), np.uint8)
    canvas.begin(start)
    flow = np.zeros((*small, 2), np.float32)
    flow[:] = np.divide(motion, size[::-1]) * small[::-1]
    rest = np.zeros(small, np.float32)
    out = canvas.compose(start, 0.0, flow, np.zeros_like(flow), rest, rest)
    y, x = (np.clip(np.arange(side) + by, 0, side - 1) for side, by in zip(size, motion[::-1], strict=True))
    assert np.abs(out.astype(int) - start[y][:, x]).max() <= 8  # at 32nds of a pixel


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_a_motion_that_is_no_number_is_looked_up_within_the_picture(value: float) -> None:
    size, small, canvas = (400, 600), (40, 60), HostCompositor()
    canvas.begin(np.full((*size, 3), 90, np.uint8))
    flow, rest, held = np.ones((*small, 2), np.float32), np.zeros(small, np.float32), np.ones(small, np.float32)
    flow[20, 30, 0] = flow[30, 20, 1] = value
    for _ in range(2):
        out = canvas.compose(np.full((*size, 3), 90, np.uint8), 0.5, flow, flow, rest + 0.5, held)
        assert np.abs(out.astype(int) - 90).max() <= 2


def test_a_painting_of_another_size_is_refused() -> None:
    canvas, kept = HostCompositor(), np.ones((16, 24), np.float32)
    with pytest.raises(ValueError, match="60x40"):
        canvas.hold(np.zeros((40, 60, 3), np.uint8), kept)
    canvas.begin(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="60x40"):
        canvas.hold(np.zeros((40, 60, 3), np.uint8), kept)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (1, 1), (50, 70)])
@pytest.mark.parametrize("small", [(1, 16), (16, 1), (1, 1)])
def test_maps_of_one_row_or_column_are_enlarged_as_others(size: tuple[int, int], small: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    start, painting = (rng.integers(100, 120, (*size, 3), np.uint8) for _ in range(2))
    flow, new, held = (np.full((*small, *more), 0.5, np.float32) for more in ((2,), (), ()))
    pictures = []
    for canvas in (HostCompositor(), CardCompositor("cpu")):
        canvas.begin(start)
        pictures.append(canvas.compose(painting, 0.5, flow, flow, new, held).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 4


@pytest.mark.parametrize("width", [130, 331, 853, 854])
def test_what_is_new_at_the_right_edge_moves_nothing_at_the_left(width: int) -> None:
    """Rows of maps lie one after the other, and the last span ends beyond the picture."""
    size, small = (240, width), (60, width // 4)
    start = np.asarray(cv2.blur(np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8), (5, 5)), np.uint8)
    flow, new, rest = np.zeros((*small, 2), np.float32), np.zeros(small, np.float32), np.zeros(small, np.float32)
    flow[..., 0] = 6 * small[1] / width
    new[10:50:2, -3:] = 1
    canvas = HostCompositor()
    canvas.begin(start)
    out = canvas.compose(start, 0.0, flow, np.zeros_like(flow), new, rest)
    assert np.abs(out[:, :40].astype(int) - start[:, 6:46]).max() <= 8  # at 32nds of a pixel


def test_all_that_comes_is_painted_by_the_loops_compiled_before() -> None:
    temporal._load().result()
    canvas = compositor("cpu")
    before = len(loops.compose.signatures)  # type: ignore[attr-defined]
    paintings = [
        np.zeros((40, 60, 3), np.uint8),
        np.zeros((40, 70, 3), np.uint8)[:, 10:],
        np.zeros((40, 60, 3), np.uint8),
    ]
    paintings[2].setflags(write=False)
    for painting in paintings:
        canvas.begin(painting)
        canvas.hold(painting, np.ones((16, 24), np.float32))
    assert len(loops.compose.signatures) == before == 1  # type: ignore[attr-defined]


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
