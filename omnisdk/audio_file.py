"""Audio files to PCM and back. The only file that uses ffmpeg; WAV with plain PCM needs nothing but Python."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from omnisdk.errors import MediaError

Pcm = NDArray[np.int16]

# Only containers that hold audio themselves: a playlist could make ffmpeg open other files of this machine.
_CONTAINERS = "wav,w64,aiff,caf,au,flac,mp3,ogg,matroska,webm,mov,mp4,m4a,aac,amr,asf"
_WRITTEN = {".flac": "flac", ".mp3": "libmp3lame", ".ogg": "libopus", ".opus": "libopus", ".m4a": "aac"}
_MOST_S = 20  # of processor time, and of time
_MOST_MEMORY_BYTES = 1 << 30
_MOST_RATE_HZ = 192_000
_HEAD_BYTES = 1 << 16  # of a WAV; and of what ffmpeg may write beside it
_UNKNOWN_LENGTH = 0x7FFFFF00  # a WAV written to a pipe has a length of 2^31 or 2^32 bytes, or nearly so


@dataclass(frozen=True)
class DecodedAudio:
    """Mono PCM with its rate. `file_seconds` is the whole file's length where it is known."""

    pcm: Pcm  # (num_samples,)
    sample_rate_hz: int
    file_seconds: float | None


class FfmpegMissingError(MediaError):
    """Neither the system nor the package imageio-ffmpeg has one."""


def decode_audio(encoded: bytes, name: str, *, start_s: float, max_seconds: float) -> DecodedAudio:
    """Decode from `start_s` on, at most `max_seconds`; `name` is used in errors.

    Raises MediaError when it is empty, truncated, or no audio.
    """
    if not encoded:
        raise MediaError(f"{name} is empty (0 bytes); give a recording as WAV, FLAC, MP3, Opus or M4A")
    if encoded[:4] == b"RIFF":
        decoded = _decode_wav(encoded, name, start_s, max_seconds)
        if decoded is not None:
            return decoded
    return _decode_with_ffmpeg(encoded, name, start_s, max_seconds)


def encode_wav(pcm: Pcm, sample_rate_hz: int) -> bytes:
    """A 16-bit mono WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def encode_audio(pcm: Pcm, sample_rate_hz: int, name: str) -> bytes:
    """A file of the kind that the suffix of `name` says. Raises MediaError for a kind that is not written."""
    kind = Path(name).suffix.lower()
    if kind == ".wav":
        return encode_wav(pcm, sample_rate_hz)
    if kind not in _WRITTEN:
        kinds = ", ".join((".wav", *_WRITTEN))
        raise MediaError(f"speech cannot be saved as {kind or 'a file without suffix'}; use one of {kinds}")
    with tempfile.TemporaryDirectory(prefix="omnisdk-") as folder:
        source, target = Path(folder) / "speech.wav", Path(folder) / f"speech{kind}"
        source.write_bytes(encode_wav(pcm, sample_rate_hz))
        stream = ffmpeg.input(f"file:{source}", protocol_whitelist="file").audio
        command = ffmpeg.output(stream, f"file:{target}", acodec=_WRITTEN[kind]).global_args("-hide_banner")
        try:
            command.run(cmd=_ffmpeg_command(), capture_stdout=True, capture_stderr=True)
        except ffmpeg.Error as error:
            said = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise MediaError(f"ffmpeg could not write {kind} ({''.join(said)}); save it as .wav") from None
        return target.read_bytes()


def _decode_wav(encoded: bytes, name: str, start_s: float, max_seconds: float) -> DecodedAudio | None:
    """None when it is a WAV that the standard library cannot read (float samples, A-law, ...)."""
    try:
        with wave.open(io.BytesIO(encoded)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            if rate < 1 or channels < 1 or width not in (1, 2, 3, 4):
                return None
            promised = file.getnframes()
            present = _wav_payload_bytes(encoded) // (channels * width)
            first = min(int(start_s * rate), present)
            file.setpos(min(first, promised))
            frames = file.readframes(min(present - first, int(max_seconds * rate)))
    except EOFError:
        raise MediaError(_truncated(name, "it ends inside its header")) from None
    except wave.Error:
        return None
    if present < promised and promised * channels * width < _UNKNOWN_LENGTH:
        raise MediaError(
            _truncated(name, f"its header promises {promised / rate:.2f} s and it holds {present / rate:.2f} s")
        )
    whole = frames[: len(frames) // (channels * width) * channels * width]
    return DecodedAudio(_mono_int16(whole, channels, width), rate, min(promised, present) / rate)


def _wav_payload_bytes(encoded: bytes) -> int:
    """How many bytes of the `data` chunk are really there."""
    position = 12
    while position + 8 <= len(encoded):
        size = int.from_bytes(encoded[position + 4 : position + 8], "little")
        if encoded[position : position + 4] == b"data":
            return min(size, len(encoded) - position - 8)
        position += 8 + size + size % 2
    return 0


def _mono_int16(frames: bytes, channels: int, width: int) -> Pcm:
    if width == 1:  # 8-bit WAV is unsigned
        samples = (np.frombuffer(frames, np.uint8).astype(np.int32) - 128) << 8
    elif width == 2:
        samples = np.frombuffer(frames, "<i2").astype(np.int32)
    elif width == 3:
        triples = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        samples = (
            (triples[:, 1].astype(np.uint16) | triples[:, 2].astype(np.uint16) << 8).view(np.int16).astype(np.int32)
        )
    else:
        samples = np.frombuffer(frames, "<i4") >> 16
    mono: Pcm = np.rint(samples.reshape(-1, channels).mean(axis=1)).astype(np.int16)
    return mono


def _decode_with_ffmpeg(encoded: bytes, name: str, start_s: float, max_seconds: float) -> DecodedAudio:
    wav, log = _as_wav(encoded, name, start_s, max_seconds)
    decoded = _decode_wav(wav, name, 0.0, max_seconds) if wav else None
    if decoded is None:
        raise MediaError(_not_decoded(name, encoded, log))
    file_seconds = _declared_seconds(log)
    decoded_seconds = len(decoded.pcm) / decoded.sample_rate_hz
    if file_seconds is not None:
        expected = min(max(file_seconds - start_s, 0.0), max_seconds)
        if decoded_seconds < expected * 0.9 - 0.1:
            problem = f"it says {file_seconds:.2f} s and {start_s + decoded_seconds:.2f} s could be decoded"
            raise MediaError(_truncated(name, problem))
    return DecodedAudio(decoded.pcm, decoded.sample_rate_hz, file_seconds)


def _as_wav(encoded: bytes, name: str, start_s: float, max_seconds: float) -> tuple[bytes, str]:
    """A WAV of it, and what ffmpeg wrote on its way. Raises MediaError."""
    # Real files, not pipes: M4A often has its index at the end and must be sought; and files have a limit of size.
    with tempfile.TemporaryDirectory(prefix="omnisdk-") as folder:
        source, target, log = Path(folder) / "audio", Path(folder) / "audio.wav", Path(folder) / "log"
        source.write_bytes(encoded)
        most_bytes = int(max_seconds * _MOST_RATE_HZ) * 2 + _HEAD_BYTES
        stream = ffmpeg.input(
            f"file:{source}",
            ss=start_s,
            t=max_seconds,
            threads=1,
            protocol_whitelist="file",
            format_whitelist=_CONTAINERS,
        ).audio
        command = ffmpeg.output(stream, f"file:{target}", format="wav", acodec="pcm_s16le", ac=1, fs=most_bytes)
        try:
            ended_well = _run(
                command.global_args("-hide_banner", "-nostdin").compile(_ffmpeg_command()), log, most_bytes
            )
        except subprocess.TimeoutExpired:
            raise MediaError(
                f"{name} could not be decoded in {_MOST_S} s; give another recording, as WAV: ffmpeg -i IN OUT.wav"
            ) from None
        written = log.read_bytes().decode("utf-8", "replace")
        if not ended_well:
            raise MediaError(_not_decoded(name, encoded, written))
        return target.read_bytes() if target.exists() else b"", written


def _run(command: list[str], log: Path, most_bytes: int) -> bool:
    """Whether it ended well. Files may be made to take much time and memory, so it gets so much and no more.

    Raises subprocess.TimeoutExpired.
    """
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr) as process,
    ):
        try:
            _bound(process.pid, most_bytes + _HEAD_BYTES)
            return process.wait(_MOST_S) == 0
        finally:
            process.kill()


def _bound(pid: int, most_bytes: int) -> None:
    """Limits of one process; elsewhere than on Linux there is only that of its time."""
    if sys.platform != "linux":
        return
    import resource

    bounds = {
        resource.RLIMIT_AS: _MOST_MEMORY_BYTES,
        resource.RLIMIT_FSIZE: most_bytes,
        resource.RLIMIT_CPU: _MOST_S,
        resource.RLIMIT_CORE: 0,
    }
    with suppress(ProcessLookupError):  # it has ended already
        for limit, most in bounds.items():
            resource.prlimit(pid, limit, (most, most))


def _declared_seconds(log: str) -> float | None:
    """The length the file's header declares; None when there is none or ffmpeg only guessed."""
    found = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", log)
    if found is None or "Estimating duration from bitrate" in log:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _truncated(name: str, problem: str) -> str:
    return f"{name} is truncated: {problem}; record or copy it again"


def _not_decoded(name: str, encoded: bytes, log: str) -> str:
    allowed = "allowed are WAV, FLAC, MP3, Ogg/Opus, M4A and other usual audio files, complete"
    if "moov atom not found" in log:
        return _truncated(name, "it is an M4A/MP4 file without its index")
    return f"{name} is no audio that can be decoded ({len(encoded)} bytes beginning {encoded[:8].hex(' ')}); {allowed}"


@cache
def _ffmpeg_command() -> str:
    """The system's ffmpeg, else the one the imageio-ffmpeg wheel ships."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise FfmpegMissingError(
            "this audio needs ffmpeg and there is none; install ffmpeg or the package imageio-ffmpeg, or give a PCM WAV"
        ) from None
