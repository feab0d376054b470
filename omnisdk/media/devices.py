"""The microphone and the speaker of this machine, through the package sounddevice (`pip install "omnisdk[audio]"`)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from importlib import import_module
from types import TracebackType
from typing import Any, Literal

import numpy as np

from omnisdk.audio_file import Pcm
from omnisdk.errors import MediaError
from omnisdk.media.speech import ResamplingStream
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ

CHUNK_MS = 40
MAX_WAITING_CHUNKS = 250  # ten seconds of a microphone that nobody reads
FINISHED_EVERY_S = 0.02
INVALID_SAMPLE_RATE = -9997  # of PortAudio
Device = int | str
Kind = Literal["input", "output"]


async def microphone(*, device: Device | None = None) -> AsyncIterator[Pcm]:
    """What the microphone hears, as it hears it: chunks of 40 ms, (samples,) int16 at 24 kHz.

    device: its number or name, None for the machine's own. Sound that nobody reads for ten seconds is dropped, the
    oldest first. Raises MediaError without the package, without a microphone, and when it is unplugged.
    """
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    heard: deque[Pcm] = deque(maxlen=MAX_WAITING_CHUNKS)
    ended: list[bool] = []

    def take(sound: Any, _frames: int, _time: object, _status: object) -> None:
        heard.append(sound[:, 0].copy())
        loop.call_soon_threadsafe(waiting.set)

    def end() -> None:
        ended.append(True)
        if not loop.is_closed():
            loop.call_soon_threadsafe(waiting.set)

    stream, rate_hz = _opened("input", "microphone", device, callback=take, finished_callback=end)
    resampling = ResamplingStream(rate_hz, WIRE_SAMPLE_RATE_HZ)
    try:
        while True:
            await waiting.wait()
            waiting.clear()
            while heard:
                chunk = heard.popleft()
                yield chunk if rate_hz == WIRE_SAMPLE_RATE_HZ else resampling.feed(chunk)
            if ended:
                raise MediaError("the microphone ended; plug it in again, and call microphone() again")
    finally:
        stream.close()


def record(seconds: float, device: Device | None = None) -> Pcm:
    """(samples,) int16 at 24 kHz of what the microphone hears from now on. Raises MediaError."""
    stream, rate_hz = _opened("input", "microphone", device)
    try:
        sound, _overflowed = stream.read(int(seconds * rate_hz))
    finally:
        stream.close()
    pcm: Pcm = sound[:, 0].copy()
    if rate_hz == WIRE_SAMPLE_RATE_HZ:
        return pcm
    resampling = ResamplingStream(rate_hz, WIRE_SAMPLE_RATE_HZ)
    return np.concatenate([resampling.feed(pcm), resampling.flush()])


class Speaker:
    """Plays what it is given, one piece after another; falls silent at once when told. Close it at the end.

    Raises MediaError without the package and without a speaker.
    """

    def __init__(self, device: Device | None = None) -> None:
        self._lock = threading.Lock()  # the device asks for sound on a thread of its own
        self._pieces: deque[Pcm] = deque()
        self._taken_s = 0.0  # what the device took
        self._taken_at = -float("inf")  # when it did last
        self._stream, self._rate_hz = _opened("output", "speaker", device, callback=self._fill)
        self._resampling = ResamplingStream(WIRE_SAMPLE_RATE_HZ, self._rate_hz)

    @property
    def heard_s(self) -> float:
        """Seconds that were heard since the beginning: what the device took, less what it has not yet played."""
        with self._lock:
            return self._heard_s()

    def _heard_s(self) -> float:
        held_s = max(0.0, float(self._stream.latency) - (time.monotonic() - self._taken_at))
        return max(0.0, self._taken_s - held_s)

    def play(self, pcm: Pcm) -> None:
        """Say this after what was given before: (samples,) int16 at 24 kHz. Returns at once."""
        if self._rate_hz != WIRE_SAMPLE_RATE_HZ:
            pcm = self._resampling.feed(pcm)
        with self._lock:
            self._pieces.append(pcm)

    def stop(self) -> None:
        """Fall silent at once; what was not heard never is."""
        with self._lock:
            self._pieces.clear()
            self._resampling = ResamplingStream(WIRE_SAMPLE_RATE_HZ, self._rate_hz)
            self._taken_s, self._taken_at = self._heard_s(), -float("inf")

    async def finished(self) -> None:
        """Wait until all that was given was heard."""
        while self._pieces:  # noqa: ASYNC110 - the device's thread knows no loop
            await asyncio.sleep(FINISHED_EVERY_S)
        await asyncio.sleep(float(self._stream.latency))

    def close(self) -> None:
        """Let the device go."""
        self._stream.close()

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, wanted: Any, frames: int, _time: object, _status: object) -> None:
        """Called by the device. wanted: (frames, 1), to be filled."""
        with self._lock:
            filled = 0
            while self._pieces and filled < frames:
                piece = self._pieces.popleft()
                taken = piece[: frames - filled]
                wanted[filled : filled + len(taken), 0] = taken
                filled += len(taken)
                if len(taken) < len(piece):
                    self._pieces.appendleft(piece[len(taken) :])
            wanted[filled:] = 0
            if filled:
                self._taken_s += filled / self._rate_hz
                self._taken_at = time.monotonic()


def speaker(*, device: Device | None = None) -> Speaker:
    """The speaker of this machine. device: its number or name, None for the machine's own. Raises MediaError."""
    return Speaker(device)


def _opened(kind: Kind, name: str, device: Device | None, **options: Any) -> tuple[Any, int]:
    """A running stream of 16 bit and one channel, and its rate: 24 kHz, or the device's own if it refuses that."""
    sounddevice = _package(name)
    try:
        try:
            return _started(sounddevice, kind, WIRE_SAMPLE_RATE_HZ, device, options), WIRE_SAMPLE_RATE_HZ
        except sounddevice.PortAudioError as refused:
            if INVALID_SAMPLE_RATE not in refused.args:
                raise
            rate_hz = int(sounddevice.query_devices(device, kind)["default_samplerate"])
            return _started(sounddevice, kind, rate_hz, device, options), rate_hz
    except (sounddevice.PortAudioError, ValueError) as error:
        which = "the machine's own" if device is None else repr(device)
        raise MediaError(f"no {name} could be opened ({which}: {error}); {_advice(sounddevice)}") from None


def _started(sounddevice: Any, kind: Kind, rate_hz: int, device: Device | None, options: dict[str, Any]) -> Any:
    opens = sounddevice.InputStream if kind == "input" else sounddevice.OutputStream
    block = rate_hz * CHUNK_MS // 1000
    stream = opens(samplerate=rate_hz, channels=1, dtype="int16", blocksize=block, device=device, **options)
    stream.start()
    return stream


def _package(name: str) -> Any:
    try:
        return import_module("sounddevice")
    except ImportError:
        raise MediaError(f'a {name} needs the package sounddevice; pip install "omnisdk[audio]"') from None
    except OSError as error:
        raise MediaError(
            f"a {name} needs the library PortAudio ({error}); install it, on Debian: apt install libportaudio2"
        ) from None


def _advice(sounddevice: Any) -> str:
    try:
        names = [str(one["name"]) for one in sounddevice.query_devices()]
    except sounddevice.PortAudioError:
        names = []
    if not names:
        return "this machine has no sound device: plug one in"
    return f"plug one in, or name one of: {', '.join(names)}"
