import base64
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omnisdk.errors import MediaError
from omnisdk.media import Image, Speech


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


def test_speech_of_a_url(web_folder: tuple[str, Path]) -> None:
    url, folder = web_folder
    speech = Speech(np.arange(3200, dtype=np.int16), sample_rate_hz=16000)
    speech.save(folder / "a.wav")
    assert Speech(f"{url}/a.wav") == speech
    with pytest.raises(MediaError, match=r"nothing\.wav answered HTTP 404"):
        Speech(f"{url}/nothing.wav")


def test_a_picture_of_a_url(web_folder: tuple[str, Path]) -> None:
    url, folder = web_folder
    image = Image(np.zeros((2, 2, 3), np.uint8))
    image.save(folder / "a.png")
    assert Image(f"{url}/a.png") == image


def test_data_url() -> None:
    image = Image(np.zeros((2, 2, 3), np.uint8))
    assert Image("data:image/png;base64," + base64.b64encode(image.png).decode()) == image
    with pytest.raises(MediaError, match="no valid base64"):
        Image("data:image/png;base64,###")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"there is no file .*cat.png"):
        Image(tmp_path / "cat.png")
    with pytest.raises(MediaError, match="cannot be read"):
        Image(tmp_path)
