"""Speech: opened, checked, resampled, played and saved."""

from __future__ import annotations

import base64
import builtins
import math
import os
import shutil
import subprocess
import tempfile
from math import ceil, gcd
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnisdk.audio_file import DecodedAudio, Pcm, decode_audio, encode_audio, encode_wav
from omnisdk.editing import Span
from omnisdk.errors import MediaError
from omnisdk.media.io import is_between, read_source, shown_in_notebook, written
from omnisdk.protocol.limits import MAX_SPEECH_S, MIN_SPEECH_MS, WIRE_SAMPLE_RATE_HZ

MIN_SPEECH_S: Final = MIN_SPEECH_MS / 1000


class Speech:
    """Spoken audio: PCM int16 mono at a rate, at most 30 s; what a model says may be longer.

    Speech("hello.mp3"), Speech(wav_bytes), Speech("https://..."), Speech(array, sample_rate_hz=16000) where the array
    is (num_samples,) or (num_samples, channels), int16 or float in -1..1. Of a longer recording take a part:
    Speech("talk.m4a", start_s=60, end_s=85). In a Canvas: mask, what of it is said anew, or Speech() for what is said
    whole, Speech(max_seconds=3) for no longer than that.

    Raises MediaError for empty, truncated, too long or undecodable audio.
    """

    __slots__ = ("max_seconds", "opened", "pcm", "sample_rate_hz", "transcript")

    pcm: Pcm
    sample_rate_hz: int
    transcript: str | None
    opened: Span | None
    max_seconds: float | None

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | ArrayLike | None = None,
        *,
        sample_rate_hz: int | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        transcript: str | None = None,
        mask: Span | None = None,
        max_seconds: float | None = None,
    ) -> None:
        self.opened, self.max_seconds = mask, max_seconds
        if source is None:
            self.pcm, self.sample_rate_hz, self.transcript = np.zeros(0, np.int16), WIRE_SAMPLE_RATE_HZ, transcript
            return
        _check_span(start_s, end_s)
        if isinstance(source, str | os.PathLike | bytes | bytearray):
            decoded, name = _decoded_part(source, start_s, end_s)
        else:
            decoded, name = _array_part(source, sample_rate_hz, start_s, end_s), "the array"
        _check_length(decoded, name, start_s, end_s)
        decoded.pcm.setflags(write=False)
        self.pcm = decoded.pcm
        self.sample_rate_hz = decoded.sample_rate_hz
        self.transcript = transcript

    @classmethod
    def from_pcm(cls, pcm: bytes | Pcm, sample_rate_hz: int, transcript: str | None = None) -> Speech:
        """Raw 16-bit little-endian mono PCM."""
        if isinstance(pcm, bytes | bytearray) and len(pcm) % 2:
            raise MediaError(f"{len(pcm)} bytes are no 16-bit PCM; give whole samples of two bytes")
        samples = np.frombuffer(pcm, "<i2").astype(np.int16) if isinstance(pcm, bytes | bytearray) else pcm
        return cls(samples, sample_rate_hz=sample_rate_hz, transcript=transcript)

    @classmethod
    def said(cls, pcm: Pcm, sample_rate_hz: int, transcript: str | None = None) -> Speech:
        """Samples known to be speech, of a model's answer or of another Speech, however long they are."""
        speech = cls.__new__(cls)
        pcm.setflags(write=False)
        speech.pcm, speech.sample_rate_hz, speech.transcript = pcm, sample_rate_hz, transcript
        speech.opened = speech.max_seconds = None
        return speech

    @classmethod
    def record(cls, seconds: float, *, device: int | str | None = None) -> Speech:
        """What the microphone hears in the next seconds, at most 30. device: its number or name.

        Raises MediaError without a microphone, and without the package sounddevice (`pip install "omnisdk[audio]"`).
        """
        if not is_between(seconds, MIN_SPEECH_S, MAX_SPEECH_S):
            raise MediaError(f"{seconds} s cannot be recorded; give {MIN_SPEECH_S:g} to {MAX_SPEECH_S:g} s")
        from omnisdk.media.devices import record

        return cls.from_pcm(record(seconds, device), WIRE_SAMPLE_RATE_HZ)

    @property
    def blank(self) -> bool:
        """Whether there is nothing to hear: Speech() only stands in a Canvas."""
        return not len(self.pcm)

    @property
    def duration_s(self) -> float:
        """How long it is, in seconds."""
        return len(self.pcm) / self.sample_rate_hz

    @property
    def wav(self) -> bytes:
        """The same as a 16-bit mono WAV file."""
        return encode_wav(self.pcm, self.sample_rate_hz)

    def resampled(self, sample_rate_hz: int) -> Speech:
        """The same speech at another rate."""
        if sample_rate_hz == self.sample_rate_hz:
            return self
        return Speech.said(_resampled(self.pcm, self.sample_rate_hz, sample_rate_hz), sample_rate_hz, self.transcript)

    def with_transcript(self, transcript: str | None) -> Speech:
        """The same speech with these words."""
        return Speech.said(self.pcm, self.sample_rate_hz, transcript)

    def slice(self, start_s: float, end_s: float | None = None) -> Speech:
        """The part from `start_s` to `end_s` (to the end if None)."""
        return Speech(self.pcm, sample_rate_hz=self.sample_rate_hz, start_s=start_s, end_s=end_s)

    def __getitem__(self, part: object) -> Speech:
        """A part in seconds, counted from the end if negative: speech[0.5:1.2], speech[:-0.3]. Raises MediaError."""
        ends = (part.start, part.stop) if isinstance(part, builtins.slice) and part.step is None else (part,)
        if not all(end is None or is_between(end, -math.inf, math.inf) for end in ends) or len(ends) < 2:
            raise MediaError(f"{part} came; speech is cut in seconds: speech[0.5:1.2]")
        first, last = (None if end is None else end + self.duration_s * (end < 0) for end in ends)
        return self.slice(max(0.0, first or 0.0), last)

    def __add__(self, other: Speech) -> Speech:
        """This and then the other, at this one's rate; together at most 30 s. Raises MediaError."""
        if not isinstance(other, Speech):
            return NotImplemented
        pcm = np.concatenate([self.pcm, other.resampled(self.sample_rate_hz).pcm])
        words = " ".join(said for said in (self.transcript, other.transcript) if said)
        return Speech.from_pcm(pcm, self.sample_rate_hz, words or None)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write WAV, FLAC, MP3, Ogg/Opus or M4A by the suffix and return the path. Raises MediaError."""
        if self.blank:
            raise MediaError("Speech() has nothing to hear; it only stands in a Canvas, for speech that is made")
        return written(
            path, lambda target: target.write_bytes(encode_audio(self.pcm, self.sample_rate_hz, target.name))
        )

    def play(self) -> None:
        """Play on this machine's speaker and wait for the end. Raises MediaError when there is no player."""
        players = (
            ("ffplay", "-v", "error", "-nodisp", "-autoexit"),
            ("paplay",),
            ("aplay", "-q"),
            ("afplay",),
            ("play", "-q"),
        )
        command = next((player for player in players if shutil.which(player[0])), None)
        if command is None:
            names = ", ".join(player[0] for player in players)
            raise MediaError(f'no player found (looked for {names}); save it instead: speech.save("speech.wav")')
        with tempfile.TemporaryDirectory(prefix="omnisdk-") as folder:
            path = self.save(Path(folder) / "speech.wav")
            played = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if played.returncode != 0:
            raise MediaError(
                f"{command[0]} could not play it ({played.stderr.strip() or f'exit {played.returncode}'}); "
                'save it instead: speech.save("speech.wav")'
            )

    def show(self) -> None:
        """In a notebook a player; elsewhere the same as play()."""
        if not shown_in_notebook(self):
            self.play()

    def waveform(self, columns: int = 40) -> str:
        """A one-line picture of its loudness."""
        bars = " ▁▂▃▄▅▆▇█"
        pieces = np.array_split(np.abs(self.pcm.astype(np.int32)), min(columns, len(self.pcm)))
        peaks = np.array([int(piece.max()) for piece in pieces]) / max(1, int(np.abs(self.pcm.astype(np.int32)).max()))
        return "".join(bars[round(float(peak) * (len(bars) - 1))] for peak in peaks)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Speech)
            and self.sample_rate_hz == other.sample_rate_hz
            and self.transcript == other.transcript
            and np.array_equal(self.pcm, other.pcm)
        )

    def __hash__(self) -> int:
        return hash((self.sample_rate_hz, self.transcript, self.pcm.tobytes()))

    def __str__(self) -> str:
        said = f" {self.transcript!r}" if self.transcript else ""
        return f"Speech {self.duration_s:.2f} s at {self.sample_rate_hz} Hz{said} {self.waveform(24)}"

    def __repr__(self) -> str:
        said = f", transcript={self.transcript!r}" if self.transcript else ""
        return f"Speech(duration_s={self.duration_s:.2f}, sample_rate_hz={self.sample_rate_hz}{said})"

    def _repr_html_(self) -> str:
        encoded = base64.b64encode(self.wav).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{encoded}"></audio>'


# Opening


def _check_span(start_s: float, end_s: float | None) -> None:
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise MediaError(f"the part from {start_s} s to {end_s} s is empty; give 0 <= start_s < end_s")


def _decoded_part(
    source: str | os.PathLike[str] | bytes | bytearray, start_s: float, end_s: float | None
) -> tuple[DecodedAudio, str]:
    encoded, name = read_source(source, "sound")
    # One second more than the limit, so that too long is noticed without decoding all of it.
    wanted = min(MAX_SPEECH_S + 1.0, end_s - start_s if end_s is not None else MAX_SPEECH_S + 1.0)
    return decode_audio(encoded, name, start_s=start_s, max_seconds=wanted), name


def _array_part(samples: ArrayLike, sample_rate_hz: int | None, start_s: float, end_s: float | None) -> DecodedAudio:
    array = np.asarray(samples)
    if not isinstance(sample_rate_hz, int) or sample_rate_hz < 1:
        raise MediaError(f"an array needs its rate, got {sample_rate_hz}; say Speech(array, sample_rate_hz=16000)")
    if array.ndim not in (1, 2) or array.dtype.kind not in "fi":
        raise MediaError(
            f"speech cannot be made of an array of {array.dtype} and shape {array.shape}; "
            "give (num_samples,) or (num_samples, channels), int16 or float in -1..1"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise MediaError("the array holds NaN or infinite samples; give floats in -1..1")
        array = np.rint(np.clip(array, -1.0, 1.0) * 32767.0)
    elif array.dtype != np.int16:
        raise MediaError(f"the array is {array.dtype}; give int16 or float in -1..1")
    mono = array.mean(axis=1) if array.ndim == 2 and array.shape[1] else array.reshape(-1)
    last = None if end_s is None else int(end_s * sample_rate_hz)
    part = np.rint(mono[int(start_s * sample_rate_hz) : last]).astype(np.int16)
    return DecodedAudio(part, sample_rate_hz, len(array) / sample_rate_hz)


def _check_length(decoded: DecodedAudio, name: str, start_s: float, end_s: float | None) -> None:
    seconds = len(decoded.pcm) / decoded.sample_rate_hz
    whole = decoded.file_seconds if decoded.file_seconds is not None else start_s + seconds
    if len(decoded.pcm) == 0 and start_s > 0:
        raise MediaError(f"{name} ends at {whole:.2f} s, before start_s={start_s}; give an earlier start_s")
    if seconds < MIN_SPEECH_S:
        raise MediaError(
            f"{name} holds {seconds:.3f} s of audio; at least {MIN_SPEECH_S} s are needed; give a recording of speech"
        )
    if seconds > MAX_SPEECH_S:
        raise MediaError(
            f"{name} is {_minutes(whole)} long; speech may be {MAX_SPEECH_S:.0f} s; "
            f"take a part: Speech(..., start_s={start_s:g}, end_s={start_s + MAX_SPEECH_S:g})"
        )


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


# Resampling


def _resampled(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    stream = ResamplingStream(from_hz, to_hz)
    return np.concatenate([stream.feed(pcm), stream.flush()])


class ResamplingStream:
    """Resamples speech chunk by chunk; the chunks joined are the same as the whole resampled at once.

    Rational resampling with a windowed sinc filter, one set of taps for each phase.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if not all(is_between(rate_hz, 1, math.inf) for rate_hz in (from_hz, to_hz)):
            raise MediaError(
                f"{from_hz} Hz to {to_hz} Hz is not possible; give rates such as 8000, 16000, 24000, 48000"
            )
        divisor = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // divisor, from_hz // divisor
        self._taps = _filter_taps(self._up, min(1.0, to_hz / from_hz) * 0.95)
        self._reach = self._taps.shape[1] // 2
        self._pending = np.zeros(self._reach, np.float32)  # input from `reach` samples before the next output on
        self._offset = 0  # of the next output after the pending input's middle, in 1 / up of an input sample
        self._num_in = self._num_out = 0

    def feed(self, pcm: Pcm) -> Pcm:
        """The output that the input so far decides."""
        self._num_in += len(pcm)
        self._pending = np.concatenate([self._pending, pcm.astype(np.float32)])
        decided = (len(self._pending) - 2 * self._reach) * self._up - self._offset
        return self._emit(max(0, -(-decided // self._down)))

    def flush(self) -> Pcm:
        """The rest, with silence after the end."""
        self._pending = np.concatenate([self._pending, np.zeros(self._reach + self._down, np.float32)])
        return self._emit(-(-self._num_in * self._up // self._down) - self._num_out)

    def _emit(self, count: int) -> Pcm:
        if count <= 0:
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, self._taps.shape[1])
        emitted = np.empty(count, np.float32)
        for first in range(0, count, 65536):
            position = self._offset + np.arange(first, min(first + 65536, count)) * self._down
            taps = self._taps[position % self._up]
            emitted[first : first + len(position)] = np.einsum("nt,nt->n", windows[position // self._up], taps)
        passed, self._offset = divmod(self._offset + count * self._down, self._up)
        self._pending = self._pending[passed:]
        self._num_out += count
        return np.clip(np.rint(emitted), -32768, 32767).astype(np.int16)


def _filter_taps(phases: int, cutoff: float) -> NDArray[np.float32]:
    """A low-pass filter at `cutoff` of the input's band for each phase between two samples: (phases, 2 * reach + 1)."""
    reach = ceil(16 / cutoff)
    distance = np.arange(phases)[:, None] / phases - np.arange(-reach, reach + 1)[None, :]  # in input samples
    window = np.cos(np.pi * distance / (2 * reach + 2)) ** 2
    taps = np.sinc(cutoff * distance) * window
    normal: NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal
