import socket

import pytest

from runtime.server.keys import Key
from runtime.server.serving import BindError, bind, url_of
from runtime.server.settings import ServerSettings


def test_port_0_is_any_free_one() -> None:
    with bind("127.0.0.1", 0, ServerSettings()) as listener:
        assert url_of(listener) == f"ws://127.0.0.1:{listener.getsockname()[1]}"


def test_no_event_waits_until_the_one_before_is_acknowledged() -> None:
    with bind("127.0.0.1", 0, ServerSettings()) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=rf"port {port} \(.*in use.*\); choose another port"):
            bind("127.0.0.1", port, ServerSettings())


def test_others_may_not_come_in_without_a_key() -> None:
    with pytest.raises(BindError, match="no API key is set"):
        bind("0.0.0.0", 0, ServerSettings())
    bind("0.0.0.0", 0, ServerSettings(keys=(Key.of("secret"),))).close()
