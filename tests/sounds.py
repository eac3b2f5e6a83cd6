"""Speech-like and music-like sounds of a seed, and spectra of them."""

from __future__ import annotations

import numpy as np

SPEECH_RATE = 16000
MUSIC_RATE = 22050
"""Samples a second."""
_FRAME = 256
"""Samples in which the vocal tract stands still, 16 ms; frames overlap by half."""
_FORMANTS = np.array([[250, 850], [800, 2400], [2300, 3200], [3300, 4200]])
_WIDTHS = np.array([90, 120, 180, 300])
_GAINS = np.array([1, 0.5, 0.2, 0.1])
"""Range and width of each resonance in Hz, and its amplitude."""
_SNR = 10, 20
"""Of speech to the noise of the room, dB."""
_VOWEL, _FRICATIVE, _PAUSE = range(3)


def frames(sound: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Cut (samples,) into overlapping frames (time, size), without padding."""
    return np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]


def hann(size: int) -> np.ndarray:
    """Return the periodic window, whose halves add up to one."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def triangles(edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return triangular filters (n - 2, bins) of height 1 between every three of n edges.

    Args:
        edges: (n,) in Hz, each filter's beginning, peak and end.
        at: (bins,) in Hz, where they are sampled.
    """
    begin, peak, end = (edges[n : len(edges) - 2 + n, None] for n in range(3))
    return np.maximum(0, np.minimum((at - begin) / (peak - begin), (end - at) / (end - peak)))


def speech(seed: int, seconds: float) -> np.ndarray:
    """Return (samples,) of a speaker of its own pitch and level, between -1 and 1.

    Glottal pulses and noise through moving formants: vowels, fricatives, pauses.
    """
    rng = np.random.default_rng([seed, 0])
    count, hop = int(seconds * SPEECH_RATE), _FRAME // 2
    steps = count // hop + 2
    hold = rng.integers(6, 30, steps)  # frames of each sound: 50 to 240 ms

    def track(values: np.ndarray) -> np.ndarray:
        """Hold (sounds, n) values, with 40 ms from each to the next."""
        held = np.repeat(values, hold, axis=0)[: steps + 4]
        return np.mean([held[n : n + steps] for n in range(5)], axis=0)

    kind = rng.choice(3, steps, p=(0.6, 0.2, 0.2))
    loud = 10 ** (rng.normal(0, 4, steps) / 20) * (kind != _PAUSE)
    pitch = rng.uniform(90, 230) * (1 + 0.15 * track(rng.normal(size=(steps, 1)))[:, 0])
    phase = np.cumsum(np.repeat(pitch, hop)) / SPEECH_RATE
    excitations = np.diff(np.floor(phase), prepend=0), rng.normal(0, 0.05, phase.size)
    voiced, noisy = (
        np.fft.rfft(frames(source, _FRAME, hop) * hann(_FRAME)) for source in excitations
    )
    hertz = np.fft.rfftfreq(_FRAME, 1 / SPEECH_RATE)
    formants = track(rng.uniform(*_FORMANTS.T, (steps, 4)))[: len(voiced), :, None]
    resonances = _GAINS[:, None] / (1 + ((hertz - formants) / _WIDTHS[:, None]) ** 2)
    tract = resonances.sum(1) / (1 + hertz / 400)
    hiss = hertz > track(rng.uniform(1500, 4500, (steps, 1)))[: len(noisy)]
    vowel, fricative = (
        track((loud * (kind == which))[:, None])[: len(voiced)] for which in (_VOWEL, _FRICATIVE)
    )
    cut = np.fft.irfft(voiced * tract * vowel + 0.1 * noisy * hiss * fricative)
    sound = (cut[1:, :hop] + cut[:-1, hop:]).ravel()[:count]
    sound *= 10 ** (rng.uniform(-30, -24) / 20) / np.sqrt(np.mean(sound**2))
    room = np.sqrt(np.mean(sound**2)) / 10 ** (rng.uniform(*_SNR) / 20)
    return np.clip(sound + rng.normal(0, room, count), -1, 1)


def music(seed: int, seconds: float) -> np.ndarray:
    """Return (samples,) of drums and plucked notes in a tempo of its own, between -1 and 1."""
    rng = np.random.default_rng([seed, 1])
    count = int(seconds * MUSIC_RATE)
    t = np.arange(MUSIC_RATE // 2) / MUSIC_RATE
    sound = rng.normal(0, 1e-3, count + t.size)
    root, half_beat = rng.uniform(80, 160), 30 / rng.uniform(80, 160)

    def noise(decay: float) -> np.ndarray:
        return rng.normal(size=t.size) * np.exp(-t / decay)

    for index, at in enumerate(np.arange(0, seconds, half_beat)):
        hit = 0.1 * noise(0.02)
        if index % 4 == 0:
            hit += np.sin(2 * np.pi * 55 * t - 6 * np.exp(-t / 0.02)) * np.exp(-t / 0.12)
        elif index % 4 == 2:
            hit += 0.4 * noise(0.06)
        for octave in (1, 2, 4)[: rng.integers(4)]:
            hertz = root * octave * 2 ** (rng.choice([0, 2, 4, 7, 9]) / 12)
            for harmonic in range(1, 7):
                wave = np.sin(2 * np.pi * harmonic * hertz * t)
                hit += 0.3 / harmonic * wave * np.exp(-t * harmonic / 0.3)
        start = int(at * MUSIC_RATE)
        sound[start : start + t.size] += hit
    return np.clip(rng.uniform(0.1, 0.4) * sound[:count], -1, 1)
