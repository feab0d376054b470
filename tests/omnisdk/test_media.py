import http.server
import io
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from omnisdk.errors import MediaError
from omnisdk.media import FOG, Image, PreviewImage, ResamplingStream, Speech
from omnisdk.protocol.limits import MAX_SPEECH_S


def tone(seconds: float, rate: int = 16000, hz: float = 440.0) -> np.ndarray:
    return (np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate) * 12000).astype(np.int16)


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no pixels worth the name."""
    buffer = io.BytesIO()
    PilImage.new("1", (1, 1)).save(buffer, "PNG")
    body = bytearray(buffer.getvalue())
    body[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    body[29:33] = zlib.crc32(bytes(body[12:29])).to_bytes(4, "big")
    return bytes(body)


@pytest.fixture
def web_folder(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    class QuietHandler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()
        thread.join()


class TestSpeech:
    def test_array_and_its_facts(self) -> None:
        speech = Speech(tone(0.5), sample_rate_hz=16000)
        assert speech.duration_s == 0.5
        assert speech.pcm.dtype == np.int16
        assert not speech.pcm.flags.writeable
        assert "0.50 s" in str(speech)
        assert "<audio" in speech._repr_html_()

    def test_float_stereo_array_is_mixed_down(self) -> None:
        stereo = np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1)
        assert np.allclose(Speech(stereo, sample_rate_hz=16000).pcm, 0.125 * 32767, atol=1)

    def test_int16_array_is_kept_exactly(self) -> None:
        samples = tone(0.1)
        assert np.array_equal(Speech(samples, sample_rate_hz=16000).pcm, samples)
        samples[:] = 0
        assert Speech.from_pcm(tone(0.1).tobytes(), 16000) == Speech(tone(0.1), sample_rate_hz=16000)

    def test_does_not_change_with_the_array_it_was_made_of(self) -> None:
        samples = tone(0.1)
        speech = Speech(samples, sample_rate_hz=16000)
        samples[:] = 0
        assert speech.pcm.any()

    def test_saved_wav_opens_again(self, tmp_path: Path) -> None:
        speech = Speech(tone(0.3), sample_rate_hz=22050)
        assert Speech(speech.save(tmp_path / "a.wav")) == speech

    def test_saving_under_another_suffix_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match=r"saved as WAV, not as \.mp3; use a\.wav"):
            Speech(tone(0.3), sample_rate_hz=16000).save(tmp_path / "a.mp3")

    @pytest.mark.parametrize(("from_hz", "to_hz"), [(16000, 24000), (44100, 24000), (48000, 16000), (8000, 24000)])
    def test_resampling_keeps_a_tone(self, from_hz: int, to_hz: int) -> None:
        resampled = Speech(tone(0.5, from_hz), sample_rate_hz=from_hz).resampled(to_hz)
        assert resampled.duration_s == pytest.approx(0.5, abs=1e-4)
        inner = slice(to_hz // 20, -to_hz // 20)
        error = resampled.pcm[inner].astype(float) - tone(0.5, to_hz)[: len(resampled.pcm)][inner]
        assert np.abs(error).max() < 12000 * 0.01

    def test_resampling_down_removes_what_the_rate_cannot_hold(self) -> None:
        high = Speech(tone(0.5, 48000, hz=11000), sample_rate_hz=48000).resampled(16000)
        assert np.abs(high.pcm[800:-800]).max() < 120  # 40 dB under the tone

    @pytest.mark.parametrize("chunk", [1, 7, 480, 5000])
    def test_resampling_in_chunks_is_the_same_as_at_once(self, chunk: int) -> None:
        whole = Speech(tone(0.1, 44100), sample_rate_hz=44100)
        stream = ResamplingStream(44100, 24000)
        pieces = [stream.feed(whole.pcm[first : first + chunk]) for first in range(0, len(whole.pcm), chunk)]
        assert np.array_equal(np.concatenate([*pieces, stream.flush()]), whole.resampled(24000).pcm)

    def test_slice(self) -> None:
        speech = Speech(np.arange(16000, dtype=np.int16), sample_rate_hz=16000)
        assert np.array_equal(speech.slice(0.25, 0.5).pcm, np.arange(4000, 8000))
        assert speech.slice(0.75).duration_s == 0.25
        with pytest.raises(MediaError, match=r"part from 0.5 s to 0.2 s is empty"):
            speech.slice(0.5, 0.2)
        with pytest.raises(MediaError, match=r"ends at 1\.00 s, before start_s=2"):
            speech.slice(2)

    def test_from_url(self, web_folder: tuple[str, Path]) -> None:
        url, folder = web_folder
        speech = Speech(tone(0.2), sample_rate_hz=16000)
        speech.save(folder / "a.wav")
        assert Speech(f"{url}/a.wav") == speech
        with pytest.raises(MediaError, match=r"nothing\.wav answered HTTP 404"):
            Speech(f"{url}/nothing.wav")

    def test_half_an_hour_is_refused_with_the_way_out(self, tmp_path: Path) -> None:
        path = tmp_path / "long.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(2 * 8000 * 1800))
        with pytest.raises(MediaError, match=r"30\.0 minutes long; speech may be 30 s; .*start_s=0, end_s=30"):
            Speech(path)
        assert Speech(path, start_s=1700, end_s=1730).duration_s == MAX_SPEECH_S

    def test_no_samples(self) -> None:
        with pytest.raises(MediaError, match=r"0.000 s of audio"):
            Speech(np.zeros(0, np.int16), sample_rate_hz=16000)

    @pytest.mark.parametrize(
        ("array", "rate", "problem"),
        [
            (np.zeros(1600, np.int16), None, "needs its rate"),
            (np.zeros(1600, np.int32), 16000, "int32; give int16 or float"),
            (np.full(1600, np.nan), 16000, "NaN"),
            (np.zeros((2, 2, 400)), 16000, r"shape \(2, 2, 400\)"),
        ],
    )
    def test_arrays_that_are_no_speech(self, array: np.ndarray, rate: int | None, problem: str) -> None:
        with pytest.raises(MediaError, match=problem):
            Speech(array, sample_rate_hz=rate)

    def test_no_player(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(MediaError, match=r"no player found .* save it instead"):
            Speech(tone(0.1), sample_rate_hz=16000).play()


class TestImage:
    def test_file_and_back(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
        image = Image(pixels)
        assert image.size == (7, 5)
        assert Image(image.save(tmp_path / "a.png")) == image
        assert Image(image._repr_png_()) == image
        assert Image(image.pil()) == image
        assert str(image) == "Image 7x5"

    @pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
    def test_every_mode_becomes_rgb(self, mode: str) -> None:
        buffer = io.BytesIO()
        picture = PilImage.new("L", (4, 4), 255).convert(mode) if mode != "I;16" else PilImage.new(mode, (4, 4), 65535)
        picture.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
        assert Image(buffer.getvalue()).pixels.shape == (4, 4, 3)
        assert Image(buffer.getvalue()).pixels.min() > 250

    def test_transparency_is_laid_over_white(self) -> None:
        array = np.zeros((2, 2, 4), np.uint8)
        array[0, 0] = (255, 0, 0, 255)
        assert Image(array).pixels[0, 0].tolist() == [255, 0, 0]
        assert Image(array).pixels[1, 1].tolist() == [255, 255, 255]

    def test_grey_and_float_arrays(self) -> None:
        assert Image(np.full((2, 3), 0.5)).pixels[0, 0].tolist() == [128, 128, 128]

    @pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 2, 5)), np.zeros((0, 2)), np.zeros((2, 2), np.int64)])
    def test_arrays_that_are_no_picture(self, array: np.ndarray) -> None:
        with pytest.raises(MediaError, match="give"):
            Image(array)

    def test_bytes_that_are_no_picture(self) -> None:
        with pytest.raises(MediaError, match=r"is no picture \(11 bytes beginning 68 65 6c 6c"):
            Image(b"hello world")
        with pytest.raises(MediaError, match="empty"):
            Image(b"")

    def test_truncated_picture(self, tmp_path: Path) -> None:
        noise = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        path = tmp_path / "cut.png"
        path.write_bytes(noise.png[: len(noise.png) // 2])
        with pytest.raises(MediaError, match=r"cut\.png is a truncated or damaged picture"):
            Image(path)

    @pytest.mark.parametrize("side", [6400, 10_000, 30_000])
    def test_too_many_pixels_are_refused_before_decoding(self, side: int) -> None:
        with pytest.raises(MediaError, match=r"too large: .*40 megapixels"):
            Image(png_header(side, side))

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match=r"there is no file .*cat.png"):
            Image(tmp_path / "cat.png")
        with pytest.raises(MediaError, match="cannot be read"):
            Image(tmp_path)

    def test_data_url(self) -> None:
        import base64

        image = Image(np.zeros((2, 2, 3), np.uint8))
        assert Image("data:image/png;base64," + base64.b64encode(image.png).decode()) == image
        with pytest.raises(MediaError, match="no valid base64"):
            Image("data:image/png;base64,###")

    def test_a_data_url_stays_within_its_bytes(self) -> None:
        noise = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        assert Image(noise.data_url(100_000)) == noise
        assert noise.data_url(10_000).startswith("data:image/jpeg")
        with pytest.raises(MediaError, match=r"Image 64x64 has .* bytes as JPEG; 100 can be sent"):
            noise.data_url(100)

    def test_from_url(self, web_folder: tuple[str, Path]) -> None:
        url, folder = web_folder
        image = Image(np.zeros((2, 2, 3), np.uint8))
        image.save(folder / "a.png")
        assert Image(f"{url}/a.png") == image

    def test_blocks(self) -> None:
        halves = np.zeros((4, 4, 3), np.uint8)
        halves[:2] = (255, 0, 0)
        lines = Image(halves).blocks(4).split("\n")
        assert len(lines) == 2
        assert lines[0].count("▀") == 4
        assert "38;2;255;0;0" in lines[0]
        assert "255" not in lines[1]
        assert "\x1b" not in Image(halves).blocks(4, colour=False)

    def test_a_picture_cannot_be_saved_as_text(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match=r"\.txt; use \.png"):
            Image(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.txt")

    def test_show_without_any_way_to_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(MediaError, match="save it instead"):
            Image(np.zeros((2, 2, 3), np.uint8)).show()


def test_masked_cells_of_a_preview_are_fog() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:] = (255, 0, 0)
    mask = np.zeros((2, 2), bool)
    mask[0, 1] = True
    preview = PreviewImage(Image(red).png, mask, np.zeros((2, 2), np.float32))
    assert preview.unmasked_ratio == 0.75
    fogged = preview.fogged(density=1.0).pixels
    assert fogged[0, 0].tolist() == [255, 0, 0]
    assert fogged[3, 4].tolist() == list(FOG)
    assert fogged[4, 7].tolist() == [255, 0, 0]
    assert preview.pixels[3, 4].tolist() == [255, 0, 0]
