import numpy as np
import pytest

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.input_buffer import InputBuffer

RATE_HZ = 24_000


def ramp(first_ms: int, stop_ms: int) -> np.ndarray:
    """Samples that tell the millisecond they belong to."""
    return np.repeat(np.arange(first_ms, stop_ms, dtype=np.int16), RATE_HZ // 1000)


def test_what_came_before_is_dropped() -> None:
    buffer = InputBuffer(30)
    buffer.append(ramp(0, 500), RATE_HZ)
    buffer.drop_before(200)
    assert (buffer.begins_ms, buffer.ends_ms) == (200, 500)
    buffer.drop_before(100)  # that is gone already
    assert buffer.take()[0] == 200


def test_a_turn_may_end_before_the_buffer_does() -> None:
    buffer = InputBuffer(30)
    buffer.append(ramp(0, 500), RATE_HZ)
    assert np.array_equal(buffer.take(until_ms=300), ramp(0, 300))
    buffer.append(ramp(500, 600), RATE_HZ)
    assert (buffer.begins_ms, buffer.ends_ms) == (300, 600)
    assert np.array_equal(buffer.take(), ramp(300, 600))


def test_time_goes_on_when_it_is_cleared() -> None:
    buffer = InputBuffer(30)
    buffer.append(ramp(0, 400), RATE_HZ)
    buffer.clear()
    assert (buffer.begins_ms, buffer.seconds) == (400, 0)


def test_another_rate_in_the_middle() -> None:
    buffer = InputBuffer(30)
    buffer.append(ramp(0, 400), RATE_HZ)
    with pytest.raises(ProtocolError, match="commit or clear it"):
        buffer.append(np.zeros(800, np.int16), 8_000)
    buffer.take()
    buffer.append(np.zeros(1_600, np.int16), 8_000)
    assert buffer.seconds == 0.2


def test_too_long_is_told_once() -> None:
    buffer = InputBuffer(1)
    with pytest.raises(ProtocolError) as caught:
        buffer.append(ramp(0, 1_100), RATE_HZ)
    assert caught.value.code == errors.AUDIO_TOO_LONG
    assert not buffer.append(ramp(0, 100), RATE_HZ)
    buffer.clear()
    assert buffer.append(ramp(0, 100), RATE_HZ)
