import base64

import pytest

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, InputImage
from omnisdk.protocol.media import image_bytes_of, pcm_from_base64, pcm_of


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


class TestSpeech:
    def test_the_bytes_come_out(self) -> None:
        assert pcm_from_base64(b64(b"\x01\x02\x03\x04"), "audio").tolist() == [0x0201, 0x0403]

    @pytest.mark.parametrize(
        ("audio", "said"),
        [
            ("", "no audio"),
            ("!!!!", "not base64"),
            ("AAA", "not base64"),
            ("ü", "not base64"),
            (b64(b"abc"), "half a sample"),
        ],
    )
    def test_bad_audio_says_what_came(self, audio: str, said: str) -> None:
        with pytest.raises(ProtocolError, match=said) as caught:
            pcm_from_base64(audio, "audio")
        assert (caught.value.code, caught.value.param) == (errors.INVALID_VALUE, "audio")

    def test_too_short_a_part(self) -> None:
        with pytest.raises(ProtocolError, match="at least 100 ms") as caught:
            pcm_of(InputAudio(audio=b64(bytes(100))), "item.content[0]")
        assert caught.value.param == "item.content[0].audio"


class TestPictures:
    @pytest.mark.parametrize("mime", limits.IMAGE_MIMES)
    def test_the_bytes_come_out(self, mime: str) -> None:
        assert image_bytes_of(InputImage(image_url=f"data:{mime};base64,{b64(b'png')}"), "p") == b"png"

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "",
            "https://example.org/cat.png",
            "data:image/png,abc",
            "data:image/gif;base64,AAAA",
            "data:;base64,AAAA",
        ],
    )
    def test_anything_but_an_allowed_data_url(self, url: str | None) -> None:
        with pytest.raises(ProtocolError, match="image/webp") as caught:
            image_bytes_of(InputImage(image_url=url), "item.content[2]")
        assert (caught.value.code, caught.value.param) == (errors.INVALID_IMAGE, "item.content[2].image_url")

    def test_too_many_bytes_names_both_sizes(self) -> None:
        url = "data:image/png;base64," + "A" * (limits.MAX_IMAGE_BYTES * 4 // 3 + 400_000)
        with pytest.raises(ProtocolError, match=r"10\.3 MiB came; at most 10 MiB") as caught:
            image_bytes_of(InputImage(image_url=url), "p")
        assert caught.value.code == errors.IMAGE_TOO_LARGE
