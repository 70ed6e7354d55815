"""Optical flow: found, checked both ways, read from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from videostyle.errors import SourceError
from videostyle.flow import UNKNOWN, DenseFlow, end_point_error, luma, places, read_flow, visible, warp
from videostyle.pictures import load_picture


def texture(height: int = 96, width: int = 128, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    soft = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 2.0)
    return np.asarray(np.interp(soft, (soft.min(), soft.max()), (0, 255)), np.uint8)


def test_flow_leads_to_where_things_went() -> None:
    start = texture()
    end = np.roll(start, (3, -5), (0, 1))
    flow = DenseFlow()(start, end)
    assert np.abs(flow[16:-16, 16:-16] - (-5, 3)).mean() < 0.1


def test_warp_looks_up_what_flow_points_at() -> None:
    ramp = np.tile(np.arange(20, dtype=np.float32), (10, 1))
    flow = np.zeros((10, 20, 2), np.float32)
    flow[..., 0] = 2.5
    assert np.allclose(warp(ramp, places(flow))[:, :17], ramp[:, :17] + 2.5, atol=0.02)
    assert np.allclose(warp(ramp, places(flow))[:, 17:], 19, atol=0.51)


def test_a_square_hides_what_it_moves_onto_and_bares_what_it_leaves() -> None:
    """Known flow: a square of 20 pixels goes 10 to the right over a ground that stands still."""
    there, back = np.zeros((2, 60, 80, 2), np.float32)
    there[20:40, 20:40, 0] = 10
    back[20:40, 30:50, 0] = -10
    seen, bared = visible(there, back), visible(back, there)
    assert not seen[21:39, 42:49].any()  # the square comes to lie here
    assert seen[22:38, 22:38].all()
    assert not bared[21:39, 21:29].any()  # the square left this
    assert bared[22:38, 32:48].all()
    assert seen[:18].all()
    assert not seen[25:35, 19:21].any()  # the edge of the motion


def test_what_leaves_the_picture_is_hidden() -> None:
    there = np.zeros((20, 30, 2), np.float32)
    there[..., 0] = 4
    seen = visible(there, -there)
    assert seen[:, :26].all()
    assert not seen[:, 26:].any()


def test_end_point_error_counts_what_is_known() -> None:
    truth = np.zeros((2, 2, 2), np.float32)
    truth[0, 0] = 2 * UNKNOWN
    flow = np.full((2, 2, 2), 3, np.float32)
    flow[1, 1] = (3, 4)
    assert end_point_error(flow, truth) == pytest.approx((2 * 18**0.5 + 5) / 3)
    assert end_point_error(flow, truth, np.array([[True, False], [False, True]])) == pytest.approx(5)


def test_flow_files(tmp_path: Path) -> None:
    flow = np.arange(24, dtype=np.float32).reshape(3, 4, 2) - 7.25
    middlebury = tmp_path / "a.flo"
    middlebury.write_bytes(np.float32(202021.25).tobytes() + np.array([4, 3], np.int32).tobytes() + flow.tobytes())
    assert np.array_equal(read_flow(middlebury), flow)
    coded = np.ones((3, 4, 3), np.uint16)
    coded[..., 2], coded[..., 1] = flow[..., 0] * 64 + 32768, flow[..., 1] * 64 + 32768
    coded[0, 0, 0] = 0
    cv2.imwrite(str(tmp_path / "a.png"), coded)
    read = read_flow(tmp_path / "a.png")
    assert np.array_equal(read[1:], flow[1:])
    assert (read[0, 0] > UNKNOWN).all()


def test_files_that_are_no_flow(tmp_path: Path) -> None:
    (tmp_path / "short.flo").write_bytes(np.float32(202021.25).tobytes() + np.array([4, 3], np.int32).tobytes())
    (tmp_path / "empty.flo").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((4, 4, 3), np.uint8))
    for name in ("short.flo", "empty.flo", "picture.png"):
        with pytest.raises(SourceError, match=f"{name} is no flow"):
            read_flow(tmp_path / name)


def test_real_flow_is_found(shared: Path) -> None:
    folder = shared / "flow" / "middlebury_rubberwhale"
    if not folder.is_dir():
        pytest.skip(f"no pair with known flow: {folder} does not exist")
    start, end = (luma(load_picture(folder / name)) for name in ("frame10.png", "frame11.png"))
    flow, back = DenseFlow()(start, end), DenseFlow()(end, start)
    truth = read_flow(folder / "flow10.flo")
    assert end_point_error(flow, truth) < 0.4
    assert end_point_error(flow, truth, visible(flow, back)) < 0.3
    assert end_point_error(np.zeros_like(truth), truth) > 1
