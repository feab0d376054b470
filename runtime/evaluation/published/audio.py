"""Sound files to speech and back."""

from pathlib import Path

import numpy as np

from runtime.engine.request import SpeechPart
from runtime.evaluation.published.errors import DataError, missing

SUFFIXES = (".flac", ".wav", ".mp3", ".ogg")


def read_speech(path: Path) -> SpeechPart:
    """A FLAC, WAV, MP3 or Ogg file at its own rate, its channels averaged. Raises DataError."""
    try:
        import soundfile
    except ImportError as error:
        raise missing("soundfile") from error
    if not path.is_file():
        raise DataError(f"{path}: no such sound file")
    try:
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(
            f"{path}: cannot be read as sound ({error}); FLAC, WAV, MP3 and Ogg are; convert it, or copy it again"
        ) from error
    if not len(samples):
        raise DataError(f"{path}: there is no sound in it; copy it again or leave it out")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(1).round().astype(np.int16)
    return SpeechPart(mono, rate_hz)


def write_speech(speech: SpeechPart, path: Path) -> None:
    """A WAV file of 16 bits."""
    try:
        import soundfile
    except ImportError as error:
        raise missing("soundfile") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech.pcm, speech.sample_rate_hz, subtype="PCM_16")
