import json

import pytest
from websockets.sync.client import connect

from runtime.benchmarks.scripted_server import SAID
from runtime.benchmarks.session import Runtime, python_module
from tests.support.wire_client import connected


def test_the_bare_one_sends_back_what_comes() -> None:
    with Runtime(python_module("runtime.benchmarks.scripted_server", "echo")) as echo, connect(echo.url) as socket:
        socket.send("hello")
        assert socket.recv(10) == "hello"


@pytest.mark.slow
def test_the_script_is_said_over_everything_that_is_real() -> None:
    command = python_module("runtime.benchmarks.scripted_server", "scripted")
    with Runtime(command) as runtime, connected(runtime.url) as client:
        client.speak(24_000)
        done = client.answer()
    assert done["output"][0]["content"][0]["text"] == SAID, json.dumps(done)
