import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omnisdk import audio_file
from omnisdk.audio_file import decode_audio, encode_wav
from omnisdk.errors import MediaError

RATE = 16000
TONE = (np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE) * 12000).astype(np.int16)
FORMATS = {
    "mp3": ["-c:a", "libmp3lame"],
    "flac": ["-c:a", "flac"],
    "opus": ["-c:a", "libopus"],
    "ogg": ["-c:a", "libvorbis"],
    "m4a": ["-c:a", "aac"],
    "wav": ["-c:a", "pcm_f32le"],
}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two seconds of a tone in every format, made by the same ffmpeg that users have."""
    folder: Path = tmp_path_factory.mktemp("audio")
    source = folder / "source.wav"
    source.write_bytes(encode_wav(TONE, RATE))
    for suffix, codec in FORMATS.items():
        command = [audio_file._ffmpeg_command(), "-v", "error", "-y", "-i", source, *codec, folder / f"tone.{suffix}"]
        subprocess.run([str(word) for word in command], check=True)
    return {suffix: (folder / f"tone.{suffix}").read_bytes() for suffix in FORMATS}


def loudest_hz(pcm: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(pcm)).argmax() * rate / len(pcm))


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_every_format(encoded: dict[str, bytes], suffix: str) -> None:
    decoded = decode_audio(encoded[suffix], "tone", start_s=0.0, max_seconds=31.0)
    assert len(decoded.pcm) / decoded.sample_rate_hz == pytest.approx(2.0, abs=0.1)
    assert loudest_hz(decoded.pcm, decoded.sample_rate_hz) == pytest.approx(440.0, abs=2.0)
    assert decoded.pcm.std() * 2**0.5 == pytest.approx(12000, rel=0.1)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a"])
def test_a_part(encoded: dict[str, bytes], suffix: str) -> None:
    decoded = decode_audio(encoded[suffix], "tone", start_s=0.5, max_seconds=1.0)
    assert len(decoded.pcm) / decoded.sample_rate_hz == pytest.approx(1.0, abs=0.05)
    assert decoded.file_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a", "wav"])
def test_truncated(encoded: dict[str, bytes], suffix: str) -> None:
    half = encoded[suffix][: len(encoded[suffix]) // 2]
    with pytest.raises(MediaError, match=r"tone.bin is truncated|tone.bin is no audio"):
        decode_audio(half, "tone.bin", start_s=0.0, max_seconds=31.0)


def test_truncated_wav_says_what_is_missing() -> None:
    wav = encode_wav(TONE, RATE)
    with pytest.raises(MediaError, match=r"header promises 2\.00 s and it holds 0\.50 s"):
        decode_audio(wav[: 44 + RATE], "a.wav", start_s=0.0, max_seconds=31.0)
    with pytest.raises(MediaError, match="ends inside its header"):
        decode_audio(wav[:30], "a.wav", start_s=0.0, max_seconds=31.0)


def test_a_wav_from_a_pipe_has_no_length_and_is_no_error() -> None:
    wav = bytearray(encode_wav(TONE, RATE))
    wav[40:44] = b"\xff\xff\xff\xff"
    assert np.array_equal(decode_audio(bytes(wav), "a.wav", start_s=0.0, max_seconds=31.0).pcm, TONE)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_sample_widths_and_channels(width: int, channels: int) -> None:
    samples = np.repeat(TONE.astype(np.int64)[:, None], channels, axis=1)
    if width == 1:
        frames = ((samples >> 8) + 128).astype(np.uint8).tobytes()
    elif width == 3:
        frames = (samples << 16).astype("<i4").reshape(-1, 1).view(np.uint8)[:, 1:].tobytes()
    else:
        frames = (samples << (8 * width - 16)).astype(f"<i{width}").tobytes()
    layout = struct.pack("<HHIIHH", 1, channels, RATE, RATE * width * channels, width * channels, 8 * width)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(frames)) + frames
    wav = b"RIFF" + struct.pack("<I", len(body)) + body
    decoded = decode_audio(wav, "a.wav", start_s=0.0, max_seconds=31.0)
    assert np.abs(decoded.pcm.astype(int) - TONE).max() <= (256 if width == 1 else 0)


@pytest.mark.parametrize(
    ("encoded_bytes", "problem"),
    [
        (b"", "is empty"),
        (b"hello, this is no audio" * 10, "is no audio"),
        (b"RIFF", "truncated"),
        (bytes(5000), "is no audio"),
    ],
)
def test_no_audio(encoded_bytes: bytes, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        decode_audio(encoded_bytes, "x.bin", start_s=0.0, max_seconds=31.0)


def test_a_playlist_cannot_open_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encode_wav(TONE, RATE))
    playlists = (
        f"ffconcat version 1.0\nfile {secret}\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
    )
    for playlist in playlists:
        with pytest.raises(MediaError, match="is no audio"):
            decode_audio(playlist.encode(), "list", start_s=0.0, max_seconds=31.0)


def test_without_any_ffmpeg(monkeypatch: pytest.MonkeyPatch, encoded: dict[str, bytes]) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    audio_file._ffmpeg_command.cache_clear()
    try:
        with pytest.raises(MediaError, match="install ffmpeg or the package imageio-ffmpeg"):
            decode_audio(encoded["flac"], "tone", start_s=0.0, max_seconds=31.0)
        plain = decode_audio(encode_wav(TONE, RATE), "tone", start_s=0.0, max_seconds=31.0)
        assert len(plain.pcm) == len(TONE)
    finally:
        audio_file._ffmpeg_command.cache_clear()


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(audio_file, "_ffmpeg_command", lambda: str(slow))
    monkeypatch.setattr(audio_file, "_MOST_S", 1)
    with pytest.raises(MediaError, match="could not be decoded in 1 s; give another recording"):
        decode_audio(b"fLaC", "a.flac", start_s=0.0, max_seconds=31.0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has no such limits")
@pytest.mark.parametrize(
    "greedy",
    [
        "head -c 300000000 /dev/zero > log2; exec head -c 300000000 /dev/zero >&2",
        "exec " + sys.executable + " -c 'bytes(2 << 30)'",
    ],
)
def test_what_takes_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, greedy: str) -> None:
    command = tmp_path / "ffmpeg"
    command.write_text(f"#!/bin/sh\nsleep 0.2\ncd {tmp_path}\n{greedy}\n")  # the limits are there by then
    command.chmod(0o755)
    monkeypatch.setattr(audio_file, "_ffmpeg_command", lambda: str(command))
    with pytest.raises(MediaError, match="no audio that can be decoded"):
        decode_audio(b"fLaC", "a.flac", start_s=0.0, max_seconds=1.0)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2**20
