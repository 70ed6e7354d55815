import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videostyle.color import (
    HLG,
    PQ,
    hlg_to_scene,
    linear_to_srgb,
    nits_to_pq,
    pq_to_nits,
    primaries_matrix,
    srgb_to_linear,
    to_linear,
    tone_curve,
)
from videostyle.yuv import ColorTags, RgbReader


def sdr(codes: NDArray[np.uint16], transfer: str) -> NDArray[np.uint8]:
    """What is read of RGB (H, W, 3) in BT.2020, of 1000 cd/m2 where it is HDR."""
    frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
    return RgbReader(frame, ColorTags("rgb", "pc", "bt2020", transfer))(frame)


def grey(signal: float) -> NDArray[np.uint16]:
    return np.full((1, 1, 3), round(signal * 65535), np.uint16)


def test_pq_knows_the_values_of_the_standard() -> None:
    # BT.2408, table 1: 58 % is 203 cd/m2; ST 2084: 0 and 1 are 0 and 10000; 100 cd/m2 is 50.8 %.
    np.testing.assert_allclose(pq_to_nits(np.array([0, 1.0])), [0, 10000])
    assert pq_to_nits(np.array(0.508)) == pytest.approx(100, rel=0.005)
    assert pq_to_nits(np.array(0.5807)) == pytest.approx(203, rel=0.003)


def test_pq_comes_back() -> None:
    nits = np.array([0.01, 1, 48, 203, 1000, 9999])
    np.testing.assert_allclose(pq_to_nits(nits_to_pq(nits)), nits, rtol=1e-9)


def test_hlg_knows_the_values_of_the_standard() -> None:
    # BT.2100, table 5: half signal is 1/12, full signal is 1; BT.2408: 75 % is 203 of 1000 cd/m2 after the OOTF.
    np.testing.assert_allclose(hlg_to_scene(np.array([0, 0.5, 1.0])), [0, 1 / 12, 1], atol=1e-6)
    assert 1000 * float(hlg_to_scene(np.array(0.75))) ** 1.2 == pytest.approx(203, rel=0.005)


def test_srgb_comes_back() -> None:
    signal = np.linspace(0, 1, 256)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(signal)), signal, atol=1e-6)


def test_primaries_matrix_is_that_of_bt2087() -> None:
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    np.testing.assert_allclose(primaries_matrix("bt2020"), expected, atol=1e-4)
    np.testing.assert_allclose(primaries_matrix("smpte432").sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("peak", [400, 1000, 4000, 10000])
def test_tone_curve_rises_to_white_and_leaves_the_dark_alone(peak: float) -> None:
    nits = np.linspace(0.01, peak, 2000)
    mapped = tone_curve(nits, peak)
    assert (np.diff(mapped) >= -1e-9).all()
    assert mapped[-1] == pytest.approx(203)
    assert (mapped <= nits + 1e-6).all()
    assert tone_curve(np.array(20.0), peak) == pytest.approx(20)


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
def test_diffuse_white_is_bright_and_highlights_stay_below_white(transfer: str, white: float) -> None:
    assert 220 <= int(sdr(grey(white), transfer)[0, 0, 0]) <= 235
    assert int(sdr(grey(0), transfer)[0, 0, 0]) == 0
    assert int(sdr(grey(1), transfer)[0, 0, 0]) == 255


@pytest.mark.parametrize("transfer", [PQ, HLG, "bt709"])
def test_grey_stays_grey_and_rises(transfer: str) -> None:
    ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None], 3, axis=2)
    out = sdr(ramp, transfer)[0].astype(int)
    assert np.ptp(out, axis=1).max() <= 1
    assert np.diff(out[:, 1]).min() >= -1


def test_tables_follow_the_formulas() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 45000, (40, 50, 3)).astype(np.uint16)
    nits = pq_to_nits(rgb / 65535)
    largest = nits.max(axis=-1, keepdims=True)
    light = nits * (tone_curve(largest, 1000) / np.maximum(largest, 1e-9)) / 203
    expected = 255 * linear_to_srgb(light @ primaries_matrix("bt2020").T)
    linear = to_linear(rgb / 65535, PQ, "bt2020", 1000)
    np.testing.assert_allclose(255 * linear_to_srgb(linear), expected, atol=1e-6)
    off = np.abs(sdr(rgb, PQ) - expected)
    assert off.max() < 3
    assert np.quantile(off, 0.999) < 1


def test_a_colour_of_bt709_survives_the_wider_container() -> None:
    colour = np.array([200, 40, 90]) / 255
    wide = np.linalg.inv(primaries_matrix("bt2020")) @ srgb_to_linear(colour)
    coded = np.round(65535 * linear_to_srgb(wide)).astype(np.uint16)
    np.testing.assert_allclose(sdr(coded[None, None], "bt709")[0, 0], colour * 255, atol=1.5)
