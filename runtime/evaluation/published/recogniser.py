"""An independent recogniser, which says what can be understood of speech."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from runtime.codecs.speech import SAMPLE_RATE_HZ, resample
from runtime.engine.request import SpeechPart
from runtime.evaluation.published.errors import SetupError, missing

WEIGHTS = "model.bin"


class Recogniser(Protocol):
    """name: tells one recogniser from another, in reports and kept results."""

    @property
    def name(self) -> str: ...

    def write_down(self, speech: SpeechPart) -> str: ...


class FasterWhisper:
    """Implements Recogniser with a Whisper model in a folder of CTranslate2's format.

    Greedy decoding without sampling and without looking back, so that the same sound gives the same text; in the
    fastest arithmetic that the machine has, which `name` tells.
    Raises SetupError where the folder or the package is not what is needed.
    """

    def __init__(self, folder: Path, language: str = "en") -> None:
        if not (folder / WEIGHTS).is_file():
            raise SetupError(
                f"{folder}: no {WEIGHTS} here; a Whisper model in CTranslate2's format is needed, a folder with "
                f"{WEIGHTS}, config.json, tokenizer.json and a vocabulary"
            )
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise missing("faster-whisper") from error
        try:
            self._model: Any = WhisperModel(str(folder), compute_type="auto", local_files_only=True)
        except (RuntimeError, ValueError) as error:
            raise SetupError(f"{folder}: cannot be loaded as a Whisper model of CTranslate2 ({error})") from error
        self._language = language
        with (folder / WEIGHTS).open("rb") as weights:
            self._digest = hashlib.file_digest(weights, "sha256").hexdigest()[:12]

    @property
    def name(self) -> str:
        return f"faster-whisper {self._digest} {self._model.model.compute_type} {self._language}"

    def write_down(self, speech: SpeechPart) -> str:
        samples = resample(
            torch.from_numpy(speech.pcm.astype(np.float32) / 32768), speech.sample_rate_hz, SAMPLE_RATE_HZ
        )
        segments, _ = self._model.transcribe(
            samples.numpy(),
            language=self._language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(str(segment.text).strip() for segment in segments)
