import io

import numpy as np
import pytest
import soundfile

from omnisdk.protocol.errors import ProtocolError
from runtime.server.recordings import FileKind, read_recording, wav_head, write_recording

TONE = (8000 * np.sin(np.arange(24_000) * 0.1)).astype(np.int16)


def encoded(samples: np.ndarray, container: str, coding: str, rate_hz: int = 24_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples / 32768, rate_hz, format=container, subtype=coding)
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "coding"), [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")]
)
def test_what_loses_nothing_is_read_as_it_was(container: str, coding: str) -> None:
    speech = read_recording(encoded(TONE, container, coding), 30, "file")
    assert speech.sample_rate_hz == 24_000
    assert np.abs(speech.pcm.astype(int) - TONE).max() <= 1


@pytest.mark.parametrize(("container", "coding"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_what_loses_a_little(container: str, coding: str) -> None:
    speech = read_recording(encoded(TONE, container, coding), 30, "file")
    assert len(speech.pcm) == pytest.approx(len(TONE), abs=2_000)
    assert np.abs(speech.pcm).max() == pytest.approx(8000, rel=0.3)


def test_channels_are_mixed() -> None:
    stereo = np.stack([TONE, np.zeros_like(TONE)], 1)
    assert np.abs(read_recording(encoded(stereo, "WAV", "PCM_16"), 30, "file").pcm).max() == pytest.approx(4000, abs=2)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"", "cannot be read"),
        (b"OggS", "WAV, FLAC, MP3 and Ogg are taken"),
        (encoded(TONE, "WAV", "PCM_16")[:60], "less than 100 ms"),
        (encoded(np.tile(TONE, 3), "FLAC", "PCM_16"), "more than 2 s of audio came"),
    ],
)
def test_what_is_refused(file: bytes, told: str) -> None:
    with pytest.raises(ProtocolError, match=told) as refused:
        read_recording(file, 2, "file")
    assert refused.value.param == "file"


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "opus"])
def test_what_is_written_can_be_read(kind: FileKind) -> None:
    assert len(read_recording(write_recording(TONE, 24_000, kind), 30, "file").pcm) == pytest.approx(24_000, abs=2_000)


def test_a_file_whose_length_is_not_known_when_it_begins() -> None:
    samples, rate_hz = soundfile.read(io.BytesIO(wav_head(24_000) + TONE.tobytes()), dtype="int16")
    assert rate_hz == 24_000
    assert np.array_equal(samples, TONE)
