"""Speech and forming answers as pictures: a spectrogram, a filmstrip, an animation. The first two need matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from omnisdk.errors import MediaError
from omnisdk.media.image import Image, PreviewImage
from omnisdk.media.speech import Speech

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW_MS, HOP_MS = 25, 10
FLOOR_DB = -80.0
MAX_FRAMES = 12
FRAME_MS, LAST_MS = 150, 1500  # of an animation
MIN_SIDE = 160  # smaller pictures are shown larger


def spectrogram(speech: Speech) -> Figure:
    """How strong each frequency is over time, in dB below the loudest. Raises MediaError without matplotlib."""
    figure = _figure(8.0, 3.0)
    axes = figure.add_subplot()
    levels = levels_db(speech)
    axes.imshow(
        levels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=FLOOR_DB,
        vmax=0.0,
        extent=(0.0, speech.duration_s, 0.0, speech.sample_rate_hz / 2000),
    )
    axes.set_xlabel("seconds")
    axes.set_ylabel("kHz")
    axes.set_title(speech.transcript or "")
    return figure


def levels_db(speech: Speech) -> Any:
    """(num_frames, num_frequencies) of windows of 25 ms, one each 10 ms; 0 is the loudest, -80 the least."""
    width, hop = (speech.sample_rate_hz * ms // 1000 for ms in (WINDOW_MS, HOP_MS))
    padded = np.pad(speech.pcm.astype(np.float32), (0, max(0, width - len(speech.pcm))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop]
    strength = np.abs(np.fft.rfft(windows * np.hanning(width), axis=1))
    loudest = max(float(strength.max()), 1.0)
    return np.maximum(20 * np.log10(np.maximum(strength, 1e-6) / loudest), FLOOR_DB)


def filmstrip(images: Sequence[Image], labels: Sequence[str] = ()) -> Figure:
    """At most 12 of the pictures side by side, masked cells under fog: `filmstrip(response.frames)`.

    Raises MediaError without matplotlib, and without a picture.
    """
    if not images:
        raise MediaError("a filmstrip needs a picture; ask for output=['image'] and partials='preview'")
    chosen = sorted({round(at) for at in np.linspace(0, len(images) - 1, min(MAX_FRAMES, len(images)))})
    figure = _figure(1.6 * len(chosen), 1.9)
    for place, index in enumerate(chosen):
        axes = figure.add_subplot(1, len(chosen), place + 1)
        axes.imshow(_shown(images[index]).pixels, interpolation="nearest")
        axes.set_title(labels[index] if index < len(labels) else _label(images[index]), fontsize=8)
        axes.axis("off")
    return figure


def animation(images: Sequence[Image]) -> bytes:
    """The pictures one after another, as an animated WebP file that plays once; the last stays."""
    frames = [_enlarged(_shown(image)).pil() for image in images]
    buffer = io.BytesIO()
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=1, lossless=True)
    return buffer.getvalue()


def _shown(image: Image) -> Image:
    return image.fogged() if isinstance(image, PreviewImage) else image


def _enlarged(image: Image) -> Image:
    times = -(-MIN_SIDE // min(image.size))
    return image if times == 1 else image.resized(image.size[0] * times, image.size[1] * times, smooth=False)


def _label(image: Image) -> str:
    return f"{image.unmasked_ratio:.0%}" if isinstance(image, PreviewImage) else ""


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        figures = import_module("matplotlib.figure")
    except ImportError:
        raise MediaError('plots need the package matplotlib; pip install "omnisdk[plots]"') from None
    figure: Figure = figures.Figure(figsize=(width_in, height_in), layout="constrained")
    return figure
