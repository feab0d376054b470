import contextlib
import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from omnisdk import audio_file
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
        (b"", "is empty"),
        (b"OggS", r"no audio that can be decoded .* allowed are WAV, FLAC, MP3, Ogg/Opus, M4A"),
        (bytes(5000), "no audio that can be decoded"),
        (encoded(TONE, "FLAC", "PCM_16", rate_hz=300_000), "300000 Hz came; 2000 to 192000 Hz are taken"),
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


# What browsers and telephones record, written by the ffmpeg that reads it.
RECORDED = {
    "m4a": ["-c:a", "aac", "-f", "ipod"],
    "webm": ["-c:a", "libopus", "-f", "webm"],
    "aac": ["-c:a", "aac", "-f", "adts"],
    "ogg": ["-c:a", "flac", "-f", "ogg"],
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("recorded")
    source = folder / "source.wav"
    source.write_bytes(encoded(TONE, "WAV", "PCM_16"))
    for kind, options in RECORDED.items():
        command = [audio_file._ffmpeg_command(), "-v", "error", "-i", source, *options, folder / kind]
        subprocess.run([str(word) for word in command], check=True)
    return {kind: (folder / kind).read_bytes() for kind in RECORDED}


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_what_browsers_and_telephones_record(recorded: dict[str, bytes], kind: str) -> None:
    speech = read_recording(recorded[kind], 30, "file")
    assert len(speech.pcm) / speech.sample_rate_hz == pytest.approx(1.0, abs=0.1)
    loudest = np.abs(np.fft.rfft(speech.pcm)).argmax() * speech.sample_rate_hz / len(speech.pcm)
    assert loudest == pytest.approx(24_000 * 0.1 / (2 * np.pi), abs=3)


def test_one_that_is_too_long_is_not_decoded_to_its_end(recorded: dict[str, bytes]) -> None:
    with pytest.raises(ProtocolError, match=r"more than 0\.5 s of audio came"):
        read_recording(recorded["m4a"], 0.5, "file")


def test_without_ffmpeg(recorded: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    audio_file._ffmpeg_command.cache_clear()
    try:
        with pytest.raises(ProtocolError, match=r"an M4A or MP4 file came, which .* send WAV, FLAC, .* install ffmpeg"):
            read_recording(recorded["m4a"], 30, "file")
        with pytest.raises(ProtocolError, match="a WebM or Matroska file came"):
            read_recording(recorded["webm"], 30, "file")
        assert len(read_recording(encoded(TONE, "FLAC", "PCM_16"), 30, "file").pcm) == len(TONE)
    finally:
        audio_file._ffmpeg_command.cache_clear()


def test_a_small_file_of_many_channels_takes_little_memory() -> None:
    silence = encoded(np.zeros((192_000 * 3, 8), np.int16), "FLAC", "PCM_16", rate_hz=192_000)
    tracemalloc.start()
    speech = read_recording(silence, 30, "file")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(speech.pcm) == 192_000 * 3
    assert peak < 8 * 2**20  # all channels at once would be 18 MiB


def read_or_refused(file: bytes) -> None:
    """Only what tells the client may come out."""
    with contextlib.suppress(ProtocolError):
        speech = read_recording(file, 2, "file")
        assert len(speech.pcm) <= 2 * speech.sample_rate_hz


BROKEN_BYTES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=40)


def broken(file: bytes, flips: list[tuple[float, int]], kept: float) -> bytes:
    damaged = bytearray(file[: int(len(file) * kept)])
    for place, value in flips:
        if damaged:
            damaged[int(place * len(damaged))] = value
    return bytes(damaged)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["WAV", "FLAC", "MP3", "OGG"]), BROKEN_BYTES, st.floats(0, 1))
def test_broken_files(container: str, flips: list[tuple[float, int]], kept: float) -> None:
    read_or_refused(broken(SOUND[container], flips, kept))


SOUND = {
    container: encoded(TONE, container, coding)
    for container, coding in [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")]
}


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_broken_files_of_browsers_and_telephones(recorded: dict[str, bytes], kind: str) -> None:
    break_many(recorded[kind], examples=6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_many_more_of_them(recorded: dict[str, bytes], kind: str) -> None:
    break_many(recorded[kind], examples=200)


def break_many(file: bytes, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, phases=[Phase.generate])
    @given(BROKEN_BYTES, st.floats(0, 1))
    def check(flips: list[tuple[float, int]], kept: float) -> None:
        read_or_refused(broken(file, flips, kept))

    check()
