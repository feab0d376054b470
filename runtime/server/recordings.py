"""Sound files in and out. libsndfile reads and writes WAV, FLAC, MP3, Ogg; ffmpeg, where there is one, reads the rest:
M4A, WebM, AAC and whatever else is usual."""

import io
from typing import Literal

import numpy as np
import soundfile

from omnisdk.audio_file import FfmpegMissingError, Pcm, decode_audio
from omnisdk.errors import MediaError
from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.request import SpeechPart

MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 192_000
BLOCK_FRAMES = 1 << 14
OVER_S = 0.05  # decoded beyond what is taken, to see that there is more
_MARKS = (
    (4, b"ftyp", "an M4A or MP4 file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"RIFF", "a WAV file"),
)
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
        pcm, rate_hz = _by_sndfile(encoded, max_s)
    except (soundfile.SoundFileError, ValueError):
        pcm, rate_hz = _by_ffmpeg(encoded, max_s, param)
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise _refused(f"a recording of {rate_hz} Hz came; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are taken", param)
    if len(pcm) * 1000 < rate_hz * limits.MIN_SPEECH_MS:
        raise _refused(f"a recording of less than {limits.MIN_SPEECH_MS} ms came; send a longer one", param)
    if len(pcm) > max_s * rate_hz:
        raise ProtocolError(
            f"more than {max_s:g} s of audio came, which is all this model hears at once; send shorter pieces",
            code=errors.AUDIO_TOO_LONG,
            param=param,
        )
    return SpeechPart(pcm, rate_hz)


def _by_sndfile(encoded: bytes, max_s: float) -> tuple[Pcm, int]:
    """In blocks: of many channels, a small file can be very much sound. Raises SoundFileError, ValueError."""
    with soundfile.SoundFile(io.BytesIO(encoded)) as file:
        rate_hz, mixed = file.samplerate, [np.zeros(0, np.int16)]
        left = int(max_s * min(rate_hz, MAX_RATE_HZ)) + 1
        while left > 0 and len(block := file.read(min(left, BLOCK_FRAMES), dtype="float32", always_2d=True)):
            mixed.append((np.nan_to_num(block.mean(1)) * 32768).round().clip(-32768, 32767).astype(np.int16))
            left -= len(block)
    return np.concatenate(mixed), rate_hz


def _by_ffmpeg(encoded: bytes, max_s: float, param: str) -> tuple[Pcm, int]:
    """Raises ProtocolError."""
    try:
        decoded = decode_audio(encoded, "the recording", start_s=0.0, max_seconds=max_s + OVER_S)
    except FfmpegMissingError:
        raise _refused(
            f"{kind_of(encoded)} came, which this server needs ffmpeg to read, and it has none; send WAV, FLAC, MP3 or "
            "Ogg, or install ffmpeg, or the package imageio-ffmpeg, where the server runs",
            param,
        ) from None
    except MediaError as problem:
        raise _refused(str(problem), param) from None
    return decoded.pcm, decoded.sample_rate_hz


def kind_of(encoded: bytes) -> str:
    """What a file seems to be, for those who are told that it cannot be read."""
    found = next((kind for start, mark, kind in _MARKS if encoded[start : start + len(mark)] == mark), None)
    return found or f"a file of {len(encoded)} bytes beginning {encoded[:8].hex(' ') or 'nowhere'}"


def write_recording(pcm: Pcm, rate_hz: int, kind: FileKind) -> bytes:
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
