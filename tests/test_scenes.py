from __future__ import annotations

import numpy as np

from videostyle.scenes import scene


def test_a_scene_is_the_same_for_the_same_numbers_alone() -> None:
    first = scene(96, 3)
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, scene(96, 3))
    assert not np.array_equal(first, scene(96, 4))


def test_scenes_have_edges_at_every_scale() -> None:
    """The spectrum falls about as photos' do: amplitude as 1/f^a with a near 1 (Field 1987)."""
    side = 128
    window = np.outer(np.hanning(side), np.hanning(side))
    spectra = []
    for seed in range(12):
        grey = scene(side, seed).astype(float).mean(2)
        spectra.append(np.abs(np.fft.fft2((grey - grey.mean()) * window)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    bands = [(2**i / side, 2 ** (i + 1) / side) for i in range(1, 6)]
    heights = [np.mean(spectra, 0)[(frequency >= low) & (frequency < high)].mean() for low, high in bands]
    slope = np.polyfit(np.log2([low for low, _ in bands]), np.log2(heights), 1)[0]
    assert -1.8 < slope < -0.7
    assert np.mean([scene(side, seed).std() for seed in range(12)]) > 20
