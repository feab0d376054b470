"""Whether media that came are those a script expects: sizes and codecs of the way do not count."""

from __future__ import annotations

import numpy as np

from omnisdk.media import Image, Speech
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ

MOST_APART = 10.0  # of 255, what JPEG may do to a picture
LEAST_ALIKE = 0.8  # what resampling and G.711 leave of a recording, and a turn that was cut at its silence


def apart(expected: Image, came: Image) -> str | None:
    """What is not the same of two pictures, None if nothing is."""
    if expected.size != came.size:
        return f"{came} is no {expected}"
    difference = float(np.abs(expected.pixels.astype(int) - came.pixels).mean())
    return None if difference <= MOST_APART else f"{came}, {difference:.0f} of 255 apart"


def unlike(expected: Speech, came: Speech) -> str | None:
    """What is not the same of two recordings, None if one is heard in the other and little else is."""
    alike = likeness(expected, came)
    return None if alike >= LEAST_ALIKE else f"{came.duration_s:.2f} s, {max(0.0, alike):.0%} alike"


def likeness(one: Speech, other: Speech) -> float:
    """Their greatest correlation at any shift, of the energy of both: 1 is the same sound. Silence is like silence."""
    first, second = (speech.resampled(WIRE_SAMPLE_RATE_HZ).pcm.astype(np.float64) for speech in (one, other))
    energy = float(np.sqrt((first @ first) * (second @ second)))
    if not energy:
        return 1.0 if not first.any() and not second.any() else 0.0
    size = 1 << (len(first) + len(second)).bit_length()
    spectrum = np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size))
    return float(np.fft.irfft(spectrum, size).max()) / energy
