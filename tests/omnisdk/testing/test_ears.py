import numpy as np

from omnisdk.protocol.input_buffer import InputBuffer
from omnisdk.protocol.settings import ServerVad
from omnisdk.testing.ears import Ears

VAD = ServerVad(prefix_padding_ms=100, silence_duration_ms=200)


def test_a_turn_begins_with_its_padding_and_ends_with_its_silence() -> None:
    buffer = InputBuffer(30)
    ears = Ears(buffer)
    quiet, loud = np.zeros(24_000, np.int16), np.full(12_000, 5000, np.int16)
    told = [change for pcm in (quiet, loud, quiet[:2400], loud, quiet) for change in ears.hear(pcm, 24_000, VAD)]
    assert told == [("began", 900), ("ended", 2300)]
    assert buffer.begins_ms <= 900 or buffer.seconds < 1.5
