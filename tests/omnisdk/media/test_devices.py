"""The microphone and the speaker, with a sound system of our own in the package's place."""

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from omnisdk.errors import MediaError
from omnisdk.media import Speech, microphone, speaker

pytestmark = pytest.mark.anyio


class PortAudioError(Exception):
    pass


class Stream:
    """What sounddevice gives; `opened` are those that were."""

    opened: list[Any] = []
    latency = 0.0
    rates_hz = (24_000, 48_000)

    def __init__(self, **options: Any) -> None:
        if options["device"] == "none":
            raise PortAudioError("no such device")
        if options["samplerate"] not in self.rates_hz:
            raise PortAudioError("Invalid sample rate", -9997)
        self.options, self.closed, self.started = SimpleNamespace(**options), False, False
        Stream.opened.append(self)

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        return np.full((frames, 1), 1000, np.int16), False

    def hear(self, sound: np.ndarray) -> None:
        self.options.callback(sound[:, None], len(sound), None, None)

    def ask(self, frames: int) -> np.ndarray:
        wanted = np.full((frames, 1), 77, np.int16)
        self.options.callback(wanted, frames, None, None)
        return wanted[:, 0]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    package: Any = ModuleType("sounddevice")
    package.InputStream = package.OutputStream = Stream
    package.PortAudioError = PortAudioError
    devices = [{"name": "HD Webcam"}, {"name": "Headset"}]
    package.query_devices = lambda *one: {"default_samplerate": 48_000.0} if one else devices
    monkeypatch.setitem(sys.modules, "sounddevice", package)
    Stream.opened, Stream.latency, Stream.rates_hz = [], 0.0, (24_000, 48_000)
    return Stream.opened


async def test_a_microphone_gives_what_it_hears(streams: list[Any]) -> None:
    chunks = microphone()
    first = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0)
    streams[0].hear(np.arange(960, dtype=np.int16))
    streams[0].hear(np.zeros(960, np.int16))
    assert np.array_equal(await first, np.arange(960))
    assert not (await anext(chunks)).any()
    options = streams[0].options
    assert (options.samplerate, options.channels, options.dtype, options.blocksize) == (24_000, 1, "int16", 960)
    await chunks.aclose()
    assert streams[0].closed


async def test_a_microphone_that_is_unplugged(streams: list[Any]) -> None:
    chunks = microphone()
    first = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0)
    streams[0].options.finished_callback()
    with pytest.raises(MediaError, match="the microphone ended; plug it in again"):
        await first
    assert streams[0].closed


def test_a_recording(streams: list[Any]) -> None:
    spoken = Speech.record(0.5)
    assert (spoken.duration_s, spoken.sample_rate_hz, int(spoken.pcm[0])) == (0.5, 24_000, 1000)
    assert streams[0].closed
    with pytest.raises(MediaError, match=r"99 s cannot be recorded; give 0\.1 to 30 s"):
        Speech.record(99)


async def test_a_speaker_plays_and_falls_silent(streams: list[Any]) -> None:
    with speaker(device=1) as loud:
        loud.play(np.arange(1, 701, dtype=np.int16))
        loud.play(np.full(2400, 5, np.int16))
        assert np.array_equal(streams[0].ask(960), [*range(1, 701), *[5] * 260])
        assert loud.heard_s == pytest.approx(0.04)
        loud.stop()
        assert not streams[0].ask(960).any()
        assert loud.heard_s == pytest.approx(0.04)
        loud.play(np.full(480, 6, np.int16))
        waiting = asyncio.create_task(loud.finished())
        await asyncio.sleep(0.03)
        assert not waiting.done()
        assert np.array_equal(streams[0].ask(960), [*[6] * 480, *[0] * 480])
        await waiting
        assert loud.heard_s == pytest.approx(0.06)
    assert streams[0].closed


async def test_what_the_device_still_holds_was_not_heard(streams: list[Any]) -> None:
    Stream.latency = 60.0
    loud = speaker()
    loud.play(np.ones(24_000, np.int16))
    streams[0].ask(24_000)
    assert loud.heard_s == 0.0


async def test_a_device_that_knows_another_rate_alone(streams: list[Any]) -> None:
    Stream.rates_hz = (48_000,)
    tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16)
    expected = (9000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)
    chunks = microphone()
    first = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0)
    streams[0].hear(tone[:1920])
    heard = await first
    assert streams[0].options.blocksize == 1920
    assert np.abs(heard[50:900] - expected[50:900]).max() < 100
    await chunks.aclose()
    with speaker() as loud:
        loud.play(expected[:2400])
        said = streams[1].ask(1920)
        assert np.abs(said[100:1900] - tone[100:1900]).max() < 100
        assert loud.heard_s == pytest.approx(0.04)
    assert (Speech.record(0.5).duration_s, len(streams)) == (0.5, 3)


async def test_a_device_that_knows_no_rate_at_all(streams: list[Any]) -> None:
    Stream.rates_hz = ()
    with pytest.raises(MediaError, match=r"no speaker could be opened .*Invalid sample rate"):
        speaker()


def test_a_machine_without_sound(streams: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["sounddevice"], "query_devices", list, raising=False)
    with pytest.raises(MediaError, match="this machine has no sound device: plug one in"):
        Speech.record(1, device="none")


@pytest.mark.parametrize("name", ["microphone", "speaker"])
async def test_without_a_device(streams: list[Any], name: str) -> None:
    told = rf"no {name} could be opened \('none': no such device\); plug one in, or name one of: HD Webcam, Headset"
    with pytest.raises(MediaError, match=told):
        await anext(microphone(device="none")) if name == "microphone" else speaker(device="none")


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MediaError, match=r'a speaker needs the package sounddevice; pip install "omnisdk\[audio\]"'):
        speaker()
    with pytest.raises(MediaError, match="a microphone needs the package sounddevice"):
        Speech.record(1)


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr("omnisdk.media.devices.import_module", missing)
    with pytest.raises(MediaError, match=r"needs the library PortAudio \(PortAudio library not found\); install it"):
        await anext(microphone())
