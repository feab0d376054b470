import numpy as np
import pytest

from omnisdk.protocol import errors
from omnisdk.protocol.audio import A_LAW, ENCODINGS, MU_LAW, PCM, Encoding, encoding_of, pcm_of, speech_of
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import AudioFormat


@pytest.mark.parametrize(
    ("encoding", "byte", "sample"),
    [  # of the tables of ITU-T G.711
        (MU_LAW, 0xFF, 0),
        (MU_LAW, 0x80, 32_124),
        (MU_LAW, 0x00, -32_124),
        (MU_LAW, 0xFE, 8),
        (A_LAW, 0xD5, 8),
        (A_LAW, 0x55, -8),
        (A_LAW, 0xAA, 32_256),
        (A_LAW, 0x2A, -32_256),
    ],
)
def test_known_bytes(encoding: Encoding, byte: int, sample: int) -> None:
    assert encoding.samples(bytes([byte])).tolist() == [sample]


@pytest.mark.parametrize("encoding", [MU_LAW, A_LAW])
def test_every_byte_comes_back(encoding: Encoding) -> None:
    samples = encoding.samples(bytes(range(256)))
    assert np.array_equal(encoding.samples(encoding.wire_bytes(samples)), samples)


@pytest.mark.parametrize("encoding", [MU_LAW, A_LAW])
def test_any_sample_comes_back_nearly(encoding: Encoding) -> None:
    samples = np.arange(-32_768, 32_768, dtype=np.int16)
    back = encoding.samples(encoding.wire_bytes(samples)).astype(np.int64)
    assert (np.abs(back - samples) <= np.maximum(16, np.abs(samples.astype(np.int64)) // 30 + 4)).all()


def test_pcm_is_little_endian() -> None:
    assert PCM.wire_bytes(np.array([1, -2], np.int16)) == b"\x01\x00\xfe\xff"
    assert PCM.samples(b"\x01\x00\xfe\xff").tolist() == [1, -2]


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_formats_by_name(name: str) -> None:
    encoding = encoding_of(AudioFormat(type=name), "p")
    assert encoding_of(encoding.format, "p") is encoding


@pytest.mark.parametrize(
    "wanted", [AudioFormat(type="audio/opus"), AudioFormat(type="audio/pcmu", rate=16_000), AudioFormat(type="")]
)
def test_other_formats(wanted: AudioFormat) -> None:
    with pytest.raises(ProtocolError, match=r"send audio/pcm at 24000 Hz or audio/pcmu at 8000 Hz or audio/pcma"):
        encoding_of(wanted, "p")


def test_samples_come_out() -> None:
    assert pcm_of(b"\x01\x02\x03\x04", "audio").tolist() == [0x0201, 0x0403]


@pytest.mark.parametrize(("audio", "said"), [(None, "no audio"), (b"", "no audio"), (b"abc", "half a sample")])
def test_bad_audio_says_what_came(audio: bytes | None, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        pcm_of(audio, "audio")
    assert (caught.value.code, caught.value.param) == (errors.INVALID_VALUE, "audio")


def test_too_short_a_part() -> None:
    with pytest.raises(ProtocolError, match="at least 100 ms") as caught:
        speech_of(bytes(100), "item.content[0].audio")
    assert caught.value.param == "item.content[0].audio"
