"""HDR and wide-gamut pictures brought to 8-bit BT.709: transfer functions, gamut and tone curve, in numpy.

The way of one pixel: signal -> linear light in cd/m2 (SMPTE ST 2084 for PQ, ITU-R BT.2100 for HLG) -> tone curve
(ITU-R BT.2390) on the largest of R, G, B, which keeps the hue -> BT.709 primaries (ITU-R BT.2087, clipped) -> sRGB
signal (IEC 61966-2-1). Diffuse white is 203 cd/m2 (ITU-R BT.2408), and SDR white stands for the same: what is
darker than about 90 cd/m2 keeps its brightness, highlights are bent in below white instead of being cut off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SDR_WHITE = 203.0
"""cd/m2 of diffuse white in HDR (BT.2408), and what SDR white stands for here."""
HDR_PEAK = 1000.0
"""cd/m2 assumed where a stream does not say how bright its highlights are."""

PQ, HLG = "smpte2084", "arib-std-b67"
WIDE_PRIMARIES = ("bt2020", "smpte432")
"""Primaries wider than BT.709 that are converted: BT.2020, and the Display P3 of phones."""

_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_CODES = 4096  # 12 bits of signal: two more than the sources have, small enough to stay in the L1 cache
_BAND = 1 << 15  # pixels worked on at once: the intermediate floats stay in the L2 cache

_CHROMATICITIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}


def pq_to_nits(signal: Floats) -> Floats:
    """SMPTE ST 2084 EOTF: signal 0..1 to cd/m2 0..10000, any shape."""
    root = np.power(np.clip(signal, 0, 1), 1 / _PQ_M2)
    ratio = np.maximum(root - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * root)
    return np.asarray(10000 * np.power(ratio, 1 / _PQ_M1))


def nits_to_pq(nits: Floats) -> Floats:
    """Inverse of :func:`pq_to_nits`."""
    power = np.power(np.clip(nits, 0, 10000) / 10000, _PQ_M1)
    return np.asarray(np.power((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power), _PQ_M2))


def hlg_to_scene(signal: Floats) -> Floats:
    """ITU-R BT.2100 HLG inverse OETF: signal 0..1 to scene light 0..1."""
    signal = np.clip(signal, 0, 1)
    return np.asarray(np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12))


def linear_to_srgb(linear: Floats) -> Floats:
    """IEC 61966-2-1: linear light 0..1 to signal 0..1."""
    linear = np.clip(linear, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055))


def srgb_to_linear(signal: Floats) -> Floats:
    """Inverse of :func:`linear_to_srgb`."""
    signal = np.clip(signal, 0, 1)
    return np.asarray(np.where(signal <= 0.04045, signal / 12.92, np.power((signal + 0.055) / 1.055, 2.4)))


def tone_curve(nits: Floats, peak: float) -> Floats:
    """ITU-R BT.2390 EETF from a ``peak`` (cd/m2) to SDR white: the identity below a knee, a Hermite spline above.

    Black is kept at zero. Returns cd/m2 in 0..SDR_WHITE.
    """
    if peak <= SDR_WHITE:
        return np.minimum(nits, SDR_WHITE)
    source_peak = float(nits_to_pq(np.array(peak)))
    target = float(nits_to_pq(np.array(SDR_WHITE))) / source_peak
    knee = 1.5 * target - 0.5
    e1 = np.clip(nits_to_pq(nits) / source_peak, 0, 1)
    t = (e1 - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * target
    return np.asarray(np.where(e1 < knee, nits, pq_to_nits(spline * source_peak)))


def primaries_matrix(source: str) -> NDArray[np.float64]:
    """(3, 3) matrix from linear RGB of primaries (FFmpeg's name) to linear BT.709 RGB (BT.2087, SMPTE RP 177).

    Raises KeyError for primaries that :data:`WIDE_PRIMARIES` does not hold. White maps to white.
    """
    return np.asarray(np.linalg.inv(_to_xyz("bt709")) @ _to_xyz(source))


def _to_xyz(name: str) -> NDArray[np.float64]:
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _CHROMATICITIES[name]]).T
    return np.asarray(xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3]))


class ToSdr:
    """Brings RGB of one stream to 8-bit sRGB with BT.709 primaries, through lookup tables.

    transfer: FFmpeg's name; PQ and HLG are tone-mapped, anything else keeps its curve and only changes primaries.
    primaries: FFmpeg's name; unknown ones are taken as BT.2020 for HDR and as BT.709 otherwise.
    peak: brightest the stream gets, in cd/m2 (MaxCLL or the mastering display); HLG is a 1000 cd/m2 system here.
    """

    def __init__(self, transfer: str, primaries: str, peak: float = HDR_PEAK) -> None:
        hdr = transfer in (PQ, HLG)
        peak = HDR_PEAK if transfer == HLG else min(max(peak, SDR_WHITE), 10000.0)
        if primaries not in _CHROMATICITIES:
            primaries = "bt2020" if hdr else "bt709"
        signal = np.arange(_CODES) / (_CODES - 1)
        # All tables hold light as a fraction of ``top``, indexed by its square root: fine steps in the shadows.
        light = signal**2
        if transfer == PQ:
            linear, top = np.minimum(pq_to_nits(signal), peak), peak
        elif transfer == HLG:
            linear, top = hlg_to_scene(signal) * peak, peak
        else:
            linear, top = srgb_to_linear(signal) * SDR_WHITE, SDR_WHITE
        self._linear = (linear / top).astype(np.float32)
        # BT.2100 OOTF: display light = scene light x (scene luminance)^(gamma - 1), gamma 1.2 at 1000 cd/m2.
        self._ootf = np.power(light, 0.2).astype(np.float32) if transfer == HLG else None
        nits = np.maximum(light * top, 1e-6)
        self._tone = (tone_curve(nits, peak) / nits * (top / SDR_WHITE)).astype(np.float32) if hdr else None
        self._matrix = np.ascontiguousarray(primaries_matrix(primaries).T, dtype=np.float32)
        self._signal = np.round(255 * linear_to_srgb(light)).astype(np.uint8)

    def __call__(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """uint16 (H, W, 3), the full 16 bits used, to uint8 (H, W, 3)."""
        flat = np.ascontiguousarray(rgb).reshape(-1, 3)
        out = np.empty(flat.shape, np.uint8)
        for start in range(0, len(flat), _BAND):
            self._band(flat[start : start + _BAND], out[start : start + _BAND])
        return out.reshape(rgb.shape)

    def _band(self, codes: NDArray[np.uint16], out: NDArray[np.uint8]) -> None:
        light = self._linear.take(codes >> 4)
        if self._ootf is not None:
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)  # BT.2100
            light *= _lookup(self._ootf, luminance)[:, None]
        if self._tone is not None:
            largest = np.maximum(np.maximum(light[:, 0], light[:, 1]), light[:, 2])
            light *= _lookup(self._tone, largest)[:, None]
        out[:] = _lookup(self._signal, light @ self._matrix)


def _lookup(table: NDArray[Any], light: NDArray[np.float32]) -> NDArray[Any]:
    """The table's entry for each light value 0..1 (clipped), by square root."""
    index = np.clip(light, 0, 1, out=light if light.ndim == 2 else None)
    np.sqrt(index, out=index)
    index *= _CODES - 1
    index += 0.5
    return np.asarray(table.take(index.astype(np.uint16)))
