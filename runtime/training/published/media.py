"""Media files as numbers, by the codecs of the model that is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runtime.codecs.image import ImageCodec, decode_image
from runtime.codecs.speech_tokens import SpeechTokenCodec
from runtime.engine.model import OmniModel
from runtime.training.published.layout import READ_PX
from runtime.training.published.samples import SampleError


class ModelMedia:
    """Implements Media. Files that cannot be read raise SampleError with their name."""

    def __init__(self, model: OmniModel) -> None:
        self._front_end, self._name = model.front_end, model.name
        self._images = ImageCodec(model.image_tokenizer, model.image_size_px)
        self._read_px = model.prompt_image_size_px or model.image_size_px
        tokenizer = model.speech_tokenizer
        self._tokens = SpeechTokenCodec(tokenizer) if tokenizer is not None else None

    @torch.inference_mode()
    def speech_features(self, path: Path) -> Tensor:
        samples, rate_hz = read_sound(path)
        mono = samples.mean(1)
        # Lossy formats go beyond full scale, which would come out with its sign turned.
        pcm = (mono * 32768).round().clip(-32768, 32767).astype(np.int16)
        return self._front_end(pcm, rate_hz).clone()

    def speech_codes(self, path: Path) -> Sequence[int]:
        if self._tokens is None:
            raise SampleError(
                f"{path}: an answer in speech needs a speech tokenizer, and {self._name} has none; "
                "name one as speech_tokenizer in its model file, or leave such samples out"
            )
        codes: list[int] = self._tokens.encode(*read_sound(path)).tolist()
        return codes

    def image_codes(self, path: Path, size_px: int) -> Sequence[int]:
        side = self._read_px if size_px == READ_PX else self._images.size_px
        try:
            pixels = decode_image(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SampleError(f"{path}: cannot be read as a picture ({error})") from error
        codes: list[int] = self._images.encode(pixels, side).flatten().tolist()
        return codes


def read_sound(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int]:
    """(samples, channels) float32 and the sample rate of a WAV, FLAC, MP3 or Ogg file. Raises SampleError."""
    import soundfile

    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise SampleError(f"{path}: cannot be read as sound ({error})") from error
    if not len(samples):
        raise SampleError(f"{path}: holds no sound")
    return samples, rate_hz
