"""The microphone and the speaker of this machine, through the package sounddevice (`pip install "omnisdk[audio]"`)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from importlib import import_module
from types import TracebackType
from typing import Any

from omnisdk.audio_file import Pcm
from omnisdk.errors import MediaError
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ

CHUNK_MS = 40
MAX_WAITING_CHUNKS = 250  # ten seconds of a microphone that nobody reads
FINISHED_EVERY_S = 0.02
Device = int | str


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

    stream = _opened("InputStream", "microphone", device, callback=take, finished_callback=end)
    try:
        while True:
            await waiting.wait()
            waiting.clear()
            while heard:
                yield heard.popleft()
            if ended:
                raise MediaError("the microphone ended; plug it in again, and call microphone() again")
    finally:
        stream.close()


def record(seconds: float, device: Device | None = None) -> Pcm:
    """(samples,) int16 at 24 kHz of what the microphone hears from now on. Raises MediaError."""
    stream = _opened("InputStream", "microphone", device)
    try:
        sound, _overflowed = stream.read(int(seconds * WIRE_SAMPLE_RATE_HZ))
    finally:
        stream.close()
    pcm: Pcm = sound[:, 0].copy()
    return pcm


class Speaker:
    """Plays what it is given, one piece after another; falls silent at once when told. Close it at the end.

    Raises MediaError without the package and without a speaker.
    """

    def __init__(self, device: Device | None = None) -> None:
        self._lock = threading.Lock()  # the device asks for sound on a thread of its own
        self._pieces: deque[Pcm] = deque()
        self._taken_s = 0.0  # what the device took
        self._taken_at = -float("inf")  # when it did last
        self._stream = _opened("OutputStream", "speaker", device, callback=self._fill)

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
        with self._lock:
            self._pieces.append(pcm)

    def stop(self) -> None:
        """Fall silent at once; what was not heard never is."""
        with self._lock:
            self._pieces.clear()
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
                self._taken_s += filled / WIRE_SAMPLE_RATE_HZ
                self._taken_at = time.monotonic()


def speaker(*, device: Device | None = None) -> Speaker:
    """The speaker of this machine. device: its number or name, None for the machine's own. Raises MediaError."""
    return Speaker(device)


def _opened(kind: str, name: str, device: Device | None, **options: Any) -> Any:
    """A running stream of 24 kHz, 16 bit, one channel."""
    sounddevice = _package(name)
    block = WIRE_SAMPLE_RATE_HZ * CHUNK_MS // 1000
    try:
        stream = getattr(sounddevice, kind)(
            samplerate=WIRE_SAMPLE_RATE_HZ, channels=1, dtype="int16", blocksize=block, device=device, **options
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        which = "the machine's own" if device is None else repr(device)
        raise MediaError(
            f"no {name} could be opened ({which}: {error}); plug one in, or name one of: {_devices(sounddevice)}"
        ) from None
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


def _devices(sounddevice: Any) -> str:
    try:
        names = [str(one["name"]) for one in sounddevice.query_devices()]
    except sounddevice.PortAudioError:
        names = []
    return ", ".join(names) or "this machine has no sound device"
