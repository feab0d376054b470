import numpy as np
import pytest

from omnisdk.protocol.limits import MAX_OUTBOUND_FRAME_BYTES, WIRE_SAMPLE_RATE_HZ
from runtime.engine.output import Sound
from runtime.server.sound import CHUNK_S, wire_chunks, wire_pcm


def tone(seconds: float, rate_hz: int, peak: int = 10_000) -> Sound:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound((peak * np.sin(2 * np.pi * 440 * time)).astype(np.int16), rate_hz)


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.int64)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_any_rate_becomes_the_wires(rate_hz: int) -> None:
    heard, meant = samples(wire_pcm(tone(1.0, rate_hz))), samples(wire_pcm(tone(1.0, WIRE_SAMPLE_RATE_HZ)))
    assert len(heard) == WIRE_SAMPLE_RATE_HZ
    inside = slice(500, -500)  # the filter sees silence beyond the ends
    assert np.abs(heard[inside] - meant[inside]).max() < 100


def test_the_wires_own_rate_stays_as_it_is() -> None:
    sound = tone(0.5, WIRE_SAMPLE_RATE_HZ)
    assert np.array_equal(samples(wire_pcm(sound)), sound.pcm)


def test_the_loudest_does_not_wrap_around() -> None:
    square = np.where(np.arange(22_050) // 100 % 2, 32_767, -32_768).astype(np.int16)
    heard = samples(wire_pcm(Sound(square, 22_050)))
    steps = np.abs(np.diff(heard))
    assert heard.max() == 32_767
    assert heard.min() == -32_768
    assert (steps > 40_000).sum() < 250  # one or two samples an edge, none in between


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.3])
def test_chunks_add_up(seconds: float) -> None:
    sound = tone(seconds, 22_050)
    chunks = wire_chunks(sound)
    assert b"".join(chunks) == wire_pcm(sound)
    assert all(len(piece) == CHUNK_S * 2 * WIRE_SAMPLE_RATE_HZ for piece in chunks[:-1])
    assert all(len(piece) % 2 == 0 for piece in chunks)
    assert max(map(len, chunks)) < MAX_OUTBOUND_FRAME_BYTES // 4
