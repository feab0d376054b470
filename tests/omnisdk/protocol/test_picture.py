import base64

import pytest

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture, check_picture, picture_from_wire

HEADS = {"image/png": b"\x89PNG\r\n", "image/jpeg": b"\xff\xd8\xff\xe0", "image/webp": b"RIFF\x00\x00\x00\x00WEBP"}


@pytest.mark.parametrize(("mime", "encoded"), HEADS.items())
def test_the_bytes_come_out_and_go_back(mime: str, encoded: bytes) -> None:
    url = f"data:{mime};base64,{base64.b64encode(encoded).decode()}"
    picture = picture_from_wire(url)
    assert picture == encoded
    assert picture.data_url == url
    assert picture_from_wire(encoded) == encoded


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "https://example.org/cat.png", "data:image/png,abc", "data:image/gif;base64,AA==", "data:;base64,AA"],
)
def test_anything_but_an_allowed_data_url(url: object) -> None:
    with pytest.raises(ProtocolError, match="image/webp") as caught:
        picture_from_wire(url)
    assert caught.value.code == errors.INVALID_IMAGE


@pytest.mark.parametrize("text", ["AAA", "!!!!", "ü", "AAAA\n"])
def test_no_base64(text: str) -> None:
    with pytest.raises(ProtocolError, match="not base64") as caught:
        picture_from_wire(f"data:image/png;base64,{text}")
    assert caught.value.code == errors.INVALID_IMAGE


@pytest.mark.parametrize(
    "wire",
    ["data:image/png;base64," + "A" * (limits.MAX_IMAGE_BYTES * 4 // 3 + 400_000), bytes(10_800_000)],
    ids=["data URL", "bytes"],
)
def test_too_many_bytes_names_both_sizes(wire: str | bytes) -> None:
    with pytest.raises(ProtocolError, match=r"10\.3 MiB came; at most 10 MiB") as caught:
        picture_from_wire(wire)
    assert caught.value.code == errors.IMAGE_TOO_LARGE


@pytest.mark.parametrize("nothing", [None, Picture()])
def test_no_picture(nothing: Picture | None) -> None:
    with pytest.raises(ProtocolError, match="no picture came") as caught:
        check_picture(nothing, "item.content[2].image_url")
    assert (caught.value.code, caught.value.param) == (errors.INVALID_IMAGE, "item.content[2].image_url")
