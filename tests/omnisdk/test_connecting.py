import pytest

from omnisdk.connecting import asset_url, realtime_url
from omnisdk.errors import ConnectFailed


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("ws://127.0.0.1:8765", "ws://127.0.0.1:8765/v1/realtime"),
        ("127.0.0.1:8765", "ws://127.0.0.1:8765/v1/realtime"),
        ("https://omni.example/", "wss://omni.example/v1/realtime"),
        ("wss://omni.example/mine?model=a", "wss://omni.example/mine?model=a"),
    ],
)
def test_addresses(given: str, url: str) -> None:
    assert realtime_url(given) == url


@pytest.mark.parametrize("given", ["ftp://a", "ws://", "", "ws://a:b", "ws://a:99999", "ws://[::1", 5, None, b"ws://a"])
def test_addresses_that_are_none(given: str) -> None:
    with pytest.raises(ConnectFailed, match="no server address; give one like"):
        realtime_url(given)


def test_where_a_picture_of_the_server_is() -> None:
    assert asset_url("wss://omni.example/v1/realtime?model=a", "/assets/b.png") == "https://omni.example/assets/b.png"
    assert asset_url("ws://127.0.0.1:8765/v1/realtime", "http://c/b.png") == "http://c/b.png"
