"""HDR and wide-gamut pictures brought to 8-bit BT.709: transfer functions, gamut and tone curve.

The way of one pixel: signal -> linear light in cd/m2 (SMPTE ST 2084 for PQ, ITU-R BT.2100 for HLG) -> tone curve
(ITU-R BT.2390) on the largest of R, G, B, which keeps the hue -> BT.709 primaries (ITU-R BT.2087, clipped) -> sRGB
signal (IEC 61966-2-1). Diffuse white is 203 cd/m2 (ITU-R BT.2408), and SDR white stands for the same: what is
darker than about 90 cd/m2 keeps its brightness, highlights are bent in below white instead of being cut off.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from av.filter import Graph
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
_GRID = 65  # colours a side of the table: no more than 2 codes of 255 off in films, and 0.25 on average, as by rounding
_ROWS = 16  # looked up at a time: they stay in the processor's cache

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


def to_linear(signal: Floats, transfer: str, primaries: str, peak: float = HDR_PEAK) -> Floats:
    """RGB signal (..., 3), 0..1, as linear light of BT.709: 0..1 too, or beyond where BT.709 lacks the colour.

    transfer: FFmpeg's name; PQ and HLG are tone-mapped, anything else keeps its curve and only changes primaries.
    primaries: FFmpeg's name; unknown ones are taken as BT.2020 for HDR and as BT.709 otherwise.
    peak: brightest the stream gets, in cd/m2 (MaxCLL or the mastering display); HLG is a 1000 cd/m2 system here.
    """
    hdr = transfer in (PQ, HLG)
    if primaries not in _CHROMATICITIES:
        primaries = "bt2020" if hdr else "bt709"
    if transfer == PQ:
        peak = min(max(peak, SDR_WHITE), 10000.0)
        nits = np.minimum(pq_to_nits(signal), peak)
    elif transfer == HLG:
        peak = HDR_PEAK
        scene = hlg_to_scene(signal)
        luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
        # BT.2100 OOTF: display light = scene light x (scene luminance)^(gamma - 1), gamma 1.2 at 1000 cd/m2.
        nits = scene * (peak * luminance**0.2)[..., None]
    else:
        nits = srgb_to_linear(signal) * SDR_WHITE
    if hdr:
        largest = np.maximum(nits.max(-1, keepdims=True), 1e-6)
        nits = nits * (tone_curve(largest, peak) / largest)
    return np.asarray(nits / SDR_WHITE @ primaries_matrix(primaries).T)


class SdrFilter:
    """sRGB of the frames of one stream, all of one size, with BT.709 primaries: ``to_linear`` by FFmpeg's lut3d.

    Between the table's points it is interpolated (tetrahedra), so the table holds x of x^2 + x = linear light: even
    steps to the eye, but no steep way through zero, where the colours begin that BT.709 lacks.
    """

    FORMAT = "gbrp16le"
    """Of the frames that go in, full range; the only one that lut3d has SIMD for."""
    _PLANES = 1, 2, 0  # green, blue, red

    def __init__(self, width: int, height: int, transfer: str, primaries: str, peak: float = HDR_PEAK) -> None:
        roots = np.arange(1 << 16) / ((1 << 16) - 1) * _root(np.array(1.0))
        self._signal = np.round(255 * linear_to_srgb(roots**2 + roots)).astype(np.uint8)
        self._graph = Graph()
        with TemporaryDirectory(prefix="videostyle-") as folder:
            path = Path(folder) / "sdr.cube"
            path.write_text(_cube(transfer, primaries, peak))
            pixels = av.VideoFormat(self.FORMAT)
            nodes = (
                self._graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, 1000)),
                self._graph.add("lut3d", file=str(path), interp="tetrahedral"),
                self._graph.add("buffersink"),
            )
            self._graph.link_nodes(*nodes).configure()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """uint8 (H, W, 3)."""
        self._graph.push(frame)
        made: Any = self._graph.vpull()
        out = np.empty((made.height, made.width, 3), np.uint8)
        planes = [np.frombuffer(plane, np.uint16).reshape(made.height, -1)[:, : made.width] for plane in made.planes]
        for top in range(0, made.height, _ROWS):
            rows = slice(top, top + _ROWS)
            for channel, plane in zip(self._PLANES, planes, strict=True):
                out[rows, :, channel] = self._signal.take(plane[rows])
        return out


@lru_cache(1)
def _cube(transfer: str, primaries: str, peak: float) -> str:
    """A .cube file, as lut3d reads it. Making it takes half a second, so the last is kept: films run in loops."""
    axis = np.linspace(0, 1, _GRID)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    light = to_linear(np.stack([red, green, blue], -1).reshape(-1, 3), transfer, primaries, peak)
    table = _root(light) / _root(np.array(1.0))
    return f"LUT_3D_SIZE {_GRID}\n" + "%.6f %.6f %.6f\n" * len(table) % tuple(table.ravel().tolist())


def _root(light: Floats) -> Floats:
    return np.asarray(np.copysign(np.sqrt(np.abs(light) + 0.25) - 0.5, light))
