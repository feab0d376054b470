"""Speech and pictures a person can hand over, look at, listen to and save.

Both open from a path, bytes, an http(s) URL or an array, check themselves when made, and never change afterwards.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from functools import cached_property
from math import ceil, gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnisdk.audio_file import DecodedAudio, Pcm, decode_audio, encode_wav
from omnisdk.errors import MediaError
from omnisdk.protocol.limits import MAX_IMAGE_PIXELS, MAX_SPEECH_S, MIN_SPEECH_MS

MAX_FILE_BYTES: Final = 512 * 1024 * 1024
MIN_SPEECH_S: Final = MIN_SPEECH_MS / 1000
FOG: Final = (168, 173, 182)  # the colour of a masked cell

Pixels = NDArray[np.uint8]


class Speech:
    """Spoken audio: PCM int16 mono at a rate, at most 30 s.

    Speech("hello.mp3"), Speech(wav_bytes), Speech("https://..."), Speech(array, sample_rate_hz=16000) where the array
    is (num_samples,) or (num_samples, channels), int16 or float in -1..1. Of a longer recording take a part:
    Speech("talk.m4a", start_s=60, end_s=85).

    Raises MediaError for empty, truncated, too long or undecodable audio.
    """

    __slots__ = ("pcm", "sample_rate_hz", "transcript")

    pcm: Pcm
    sample_rate_hz: int
    transcript: str | None

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | ArrayLike,
        *,
        sample_rate_hz: int | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        transcript: str | None = None,
    ) -> None:
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
        samples = np.frombuffer(pcm, "<i2").astype(np.int16) if isinstance(pcm, bytes | bytearray) else pcm
        return cls(samples, sample_rate_hz=sample_rate_hz, transcript=transcript)

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / self.sample_rate_hz

    @property
    def wav(self) -> bytes:
        """The same as a 16-bit mono WAV file."""
        return encode_wav(self.pcm, self.sample_rate_hz)

    def resampled(self, sample_rate_hz: int) -> Speech:
        """The same speech at another rate."""
        if sample_rate_hz == self.sample_rate_hz:
            return self
        return Speech.from_pcm(
            _resampled(self.pcm, self.sample_rate_hz, sample_rate_hz), sample_rate_hz, self.transcript
        )

    def slice(self, start_s: float, end_s: float | None = None) -> Speech:
        """The part from `start_s` to `end_s` (to the end if None)."""
        return Speech(self.pcm, sample_rate_hz=self.sample_rate_hz, start_s=start_s, end_s=end_s)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a WAV file and return its path."""
        target = Path(path)
        if target.suffix.lower() != ".wav":
            raise MediaError(
                f"speech is saved as WAV, not as {target.suffix or 'a file without suffix'}; use {target.stem}.wav"
            )
        target.write_bytes(self.wav)
        return target

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
        if not _shown_in_notebook(self):
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


class Image:
    """A picture: RGB pixels, at most 40 megapixels.

    Image("cat.png"), Image(jpeg_bytes), Image("https://..."), Image(array) where the array is (rows, columns) or
    (rows, columns, 1 | 3 | 4), uint8 or float in 0..1, or Image(pil_image). Transparency is laid over white.

    Raises MediaError for bytes that are no picture, truncated files and pictures that are too large.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | ArrayLike | Any) -> None:
        if isinstance(source, str | os.PathLike | bytes | bytearray):
            pixels = _pixels_of_file(source)
        elif _is_pil(source):
            pixels = _rgb(source, "the PIL image")
        else:
            pixels = _pixels_of_array(np.asarray(source))
        pixels.setflags(write=False)
        self.pixels: Pixels = pixels  # (rows, columns, 3)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @cached_property
    def png(self) -> bytes:
        """The same as a PNG file."""
        buffer = io.BytesIO()
        self.pil().save(buffer, "PNG")
        return buffer.getvalue()

    def data_url(self, max_bytes: int) -> str:
        """The same in a URL: PNG, or JPEG where a PNG would have more bytes. Raises MediaError if both have."""
        if len(self.png) <= max_bytes:
            return _data_url("image/png", self.png)
        buffer = io.BytesIO()
        self.pil().save(buffer, "JPEG", quality=90)
        if buffer.tell() > max_bytes:
            raise MediaError(
                f"{self} has {buffer.tell()} bytes as JPEG; {max_bytes} can be sent; "
                "make it smaller: image.resized(1024, 768)"
            )
        return _data_url("image/jpeg", buffer.getvalue())

    def pil(self) -> Any:
        """The same as a PIL image."""
        from PIL import Image as PilImage

        return PilImage.fromarray(self.pixels)

    def resized(self, width: int, height: int, *, smooth: bool = True) -> Image:
        """The same at another size, with smooth or hard pixel edges."""
        from PIL import Image as PilImage

        filtering = PilImage.Resampling.BICUBIC if smooth else PilImage.Resampling.NEAREST
        return Image(self.pil().resize((width, height), filtering))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write PNG, JPEG, WebP, ... by the suffix and return the path."""
        target = Path(path)
        try:
            self.pil().save(target)
        except ValueError:
            raise MediaError(
                f"pictures cannot be saved as {target.suffix or 'a file without suffix'}; use .png, .jpg or .webp"
            ) from None
        return target

    def show(self) -> None:
        """Show in the notebook, in a window, or as colour blocks in a terminal. Raises MediaError without any."""
        if _shown_in_notebook(self):
            return
        if _has_display() and self._shown_in_window():
            return
        if not sys.stdout.isatty():
            raise MediaError('no notebook, window or terminal to show it in; save it instead: image.save("image.png")')
        sys.stdout.write(self.blocks(min(64, shutil.get_terminal_size().columns)) + "\n")

    def blocks(self, columns: int = 32, *, colour: bool = True) -> str:
        """A text view `columns` characters wide: two pixels a character in 24-bit colour, or shades without colour."""
        grid = self.cells(columns)
        if colour:
            return "\n".join(_colour_line(upper, lower) for upper, lower in zip(grid[0::2], grid[1::2], strict=True))
        return "\n".join(_shade_line(upper, lower) for upper, lower in zip(grid[0::2], grid[1::2], strict=True))

    def cells(self, columns: int) -> Pixels:
        """The picture as (an even number of rows, columns, 3) mean colours, for a text view."""
        width, height = self.size
        columns = max(1, columns)
        rows = max(2, ceil(columns * height / width / 2) * 2)
        from PIL import Image as PilImage

        return np.asarray(self.pil().resize((columns, rows), PilImage.Resampling.BOX), np.uint8)

    def _shown_in_window(self) -> bool:
        from PIL import ImageShow

        return bool(ImageShow.show(self.pil()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and np.array_equal(self.pixels, other.pixels)

    def __hash__(self) -> int:
        return hash((self.pixels.shape, self.pixels.tobytes()))

    def __str__(self) -> str:
        width, height = self.size
        return f"Image {width}x{height}"

    def __repr__(self) -> str:
        width, height = self.size
        return f"{type(self).__name__}(width={width}, height={height})"

    def _repr_png_(self) -> bytes:
        return self.png


class PreviewImage(Image):
    """A picture that is still being unmasked.

    mask: (rows, columns) bool, True where the cell is still masked. confidence: (rows, columns) float32 in 0..1.
    """

    def __init__(self, source: bytes, mask: NDArray[np.bool_], confidence: NDArray[np.float32]) -> None:
        super().__init__(source)
        self.mask = mask
        self.confidence = confidence

    @property
    def unmasked_ratio(self) -> float:
        return float(1.0 - self.mask.mean()) if self.mask.size else 1.0

    def fogged(self, density: float = 0.85) -> Image:
        """The same with its masked cells under fog."""
        return Image(self._under_fog(self.pixels, density))

    def cells(self, columns: int) -> Pixels:
        return self._under_fog(super().cells(columns), 0.85)

    def show(self) -> None:
        self.fogged().show()

    def _under_fog(self, pixels: Pixels, density: float) -> Pixels:
        if not self.mask.size:
            return pixels
        rows, columns = pixels.shape[:2]
        row_of = np.arange(rows) * self.mask.shape[0] // rows
        column_of = np.arange(columns) * self.mask.shape[1] // columns
        fog = self.mask[np.ix_(row_of, column_of)][:, :, None] * density
        blended: Pixels = np.rint(pixels * (1.0 - fog) + np.array(FOG) * fog).astype(np.uint8)
        return blended


# Reading sources


def _read_source(source: str | os.PathLike[str] | bytes | bytearray, kind: str) -> tuple[bytes, str]:
    """The bytes of a path, URL, data URL or bytes, and a name for errors."""
    if isinstance(source, bytes | bytearray):
        return bytes(source), f"the {kind}"
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        return _download(text, kind), text
    if text.startswith("data:"):
        return _data_url_bytes(text, kind), f"the {kind} of the data URL"
    return _read_file(Path(text), kind), text


def _read_file(path: Path, kind: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MediaError(f"{path} has {size} bytes; a {kind} file may have {MAX_FILE_BYTES}; cut it first")
        return path.read_bytes()
    except FileNotFoundError:
        raise MediaError(f"there is no file {path}; give the path of a {kind} file") from None
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}); give a readable {kind} file") from None


def _data_url_bytes(url: str, kind: str) -> bytes:
    header, _, payload = url.partition(",")
    try:
        return base64.b64decode(payload, validate=True) if header.endswith(";base64") else payload.encode()
    except binascii.Error as error:
        raise MediaError(f"the {kind} data URL holds no valid base64 ({error}); encode the file's bytes") from None


def _data_url(mime: str, encoded: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(encoded).decode('ascii')}"


def _download(url: str, kind: str) -> bytes:
    import httpx

    pieces: list[bytes] = []
    received = 0
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                pieces.append(piece)
                received += len(piece)
                if received > MAX_FILE_BYTES:
                    raise MediaError(f"{url} has more than {MAX_FILE_BYTES} bytes; a {kind} file may not; cut it first")
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        raise MediaError(f"{url} answered HTTP {code}; give a URL that answers 200 with a {kind} file") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise MediaError(f"{url} could not be fetched ({error}); check the address and the network") from None
    return b"".join(pieces)


# Speech


def _check_span(start_s: float, end_s: float | None) -> None:
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise MediaError(f"the part from {start_s} s to {end_s} s is empty; give 0 <= start_s < end_s")


def _decoded_part(
    source: str | os.PathLike[str] | bytes | bytearray, start_s: float, end_s: float | None
) -> tuple[DecodedAudio, str]:
    encoded, name = _read_source(source, "audio")
    # One second more than the limit, so that too long is noticed without decoding all of it.
    wanted = min(MAX_SPEECH_S + 1.0, end_s - start_s if end_s is not None else MAX_SPEECH_S + 1.0)
    return decode_audio(encoded, name, start_s=start_s, max_seconds=wanted), name


def _array_part(samples: ArrayLike, sample_rate_hz: int | None, start_s: float, end_s: float | None) -> DecodedAudio:
    array = np.asarray(samples)
    if sample_rate_hz is None or sample_rate_hz < 1:
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


def _resampled(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    stream = ResamplingStream(from_hz, to_hz)
    return np.concatenate([stream.feed(pcm), stream.flush()])


class ResamplingStream:
    """Resamples speech chunk by chunk; the chunks joined are the same as the whole resampled at once.

    Rational resampling with a windowed sinc filter, one set of taps for each phase.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if from_hz < 1 or to_hz < 1:
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


# Pictures


def _is_pil(source: object) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def _pixels_of_file(source: str | os.PathLike[str] | bytes | bytearray) -> Pixels:
    from PIL import Image as PilImage
    from PIL import UnidentifiedImageError

    encoded, name = _read_source(source, "picture")
    if not encoded:
        raise MediaError(f"{name} is empty (0 bytes); give a PNG, JPEG or WebP file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            with PilImage.open(io.BytesIO(encoded)) as picture:
                return _rgb(picture, name)
    except PilImage.DecompressionBombError as error:
        raise MediaError(_too_large(name, str(error).split(",")[0])) from None
    except UnidentifiedImageError:
        beginning = encoded[:8].hex(" ")
        raise MediaError(
            f"{name} is no picture ({len(encoded)} bytes beginning {beginning}); give a PNG, JPEG or WebP file"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(f"{name} is a truncated or damaged picture ({error}); save or copy it again") from None


def _rgb(picture: Any, name: str) -> Pixels:
    from PIL import Image as PilImage
    from PIL import ImageOps

    width, height = picture.size
    if width * height > MAX_IMAGE_PIXELS:
        raise MediaError(_too_large(name, f"it is {width}x{height} = {width * height / 1e6:.0f} megapixels"))
    if width * height == 0:
        raise MediaError(f"{name} is {width}x{height} and has no pixels; give a picture")
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        upright = PilImage.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = PilImage.alpha_composite(PilImage.new("RGBA", rgba.size, "white"), rgba)
    return np.array(upright.convert("RGB"), np.uint8)


def _pixels_of_array(array: NDArray[Any]) -> Pixels:
    from PIL import Image as PilImage

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise MediaError(
            f"a picture cannot be made of an array of shape {array.shape}; "
            "give (rows, columns) or (rows, columns, 1 | 3 | 4)"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise MediaError("the array holds NaN or infinite values; give floats in 0..1")
        array = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        raise MediaError(f"the array is {array.dtype}; give uint8 or float in 0..1")
    return _rgb(PilImage.fromarray(np.ascontiguousarray(array)), "the array")


def _too_large(name: str, problem: str) -> str:
    limit = MAX_IMAGE_PIXELS // 1_000_000
    return f"{name} is too large: {problem}; pictures may have {limit} megapixels; make it smaller first"


def _colour_line(upper: Pixels, lower: Pixels) -> str:
    marks = (
        f"\x1b[38;2;{top[0]};{top[1]};{top[2]}m\x1b[48;2;{low[0]};{low[1]};{low[2]}m▀"
        for top, low in zip(upper, lower, strict=True)
    )
    return "".join(marks) + "\x1b[0m"


def _shade_line(upper: Pixels, lower: Pixels) -> str:
    shades = "█▓▒░ "
    weights = np.array([0.299, 0.587, 0.114])
    light = (upper.astype(np.float64) + lower) / 2.0 @ weights
    return "".join(shades[int(value / 256.0 * len(shades))] for value in light)


# Showing


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _shown_in_notebook(media: object) -> bool:
    """True if a notebook is running and has shown it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return False
    from IPython.display import display

    display(media)
    return True
