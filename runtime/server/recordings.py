"""Sound files in and out: WAV, FLAC, MP3, Ogg. libsndfile reads and writes them."""

import io
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.request import SpeechPart

FileKind = Literal["wav", "flac", "mp3", "opus"]
_KINDS: dict[str, tuple[str, str | None]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", None),
    "opus": ("OGG", "OPUS"),
}
MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm"}


def read_recording(encoded: bytes, max_s: float, param: str) -> SpeechPart:
    """Of any rate; channels are mixed. Raises ProtocolError, before more than `max_s` seconds of it are decoded."""
    try:
        with soundfile.SoundFile(io.BytesIO(encoded)) as file:
            rate_hz = file.samplerate
            samples = file.read(int(max_s * rate_hz) + 1, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError) as problem:
        told = str(problem).rpartition(">: ")[2]
        raise _refused(
            f"this recording cannot be read ({told}); WAV, FLAC, MP3 and Ogg are taken; "
            "convert it: ffmpeg -i IN OUT.wav",
            param,
        ) from None
    if len(samples) * 1000 < rate_hz * limits.MIN_SPEECH_MS:
        raise _refused(f"a recording of less than {limits.MIN_SPEECH_MS} ms came; send a longer one", param)
    if len(samples) > max_s * rate_hz:
        raise ProtocolError(
            f"more than {max_s:g} s of audio came, which is all this model hears at once; send shorter pieces",
            code=errors.AUDIO_TOO_LONG,
            param=param,
        )
    mixed = np.nan_to_num(samples.mean(1)) * 32768
    return SpeechPart(mixed.round().clip(-32768, 32767).astype(np.int16), rate_hz)


def write_recording(pcm: NDArray[np.int16], rate_hz: int, kind: FileKind) -> bytes:
    file = io.BytesIO()
    container, coding = _KINDS[kind]
    soundfile.write(file, pcm, rate_hz, format=container, subtype=coding)
    return file.getvalue()


def wav_head(rate_hz: int) -> bytes:
    """The head of a WAV file of 16 bits, mono, whose length is not known yet: players read on to the end."""
    head = bytearray(write_recording(np.zeros(0, np.int16), rate_hz, "wav"))
    data = head.index(b"data")
    head[4:8] = head[data + 4 : data + 8] = b"\xff\xff\xff\xff"
    return bytes(head[: data + 8])


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
