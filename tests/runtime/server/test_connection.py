import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES
from runtime.server.connection import select_subprotocol
from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import WireClient, connected


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def url(engine: ScriptedEngine) -> Iterator[str]:
    with serving(engine) as url:
        yield url


def eventually(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["realtime"], "realtime"),
        (["realtime", "openai-insecure-api-key.secret"], "realtime"),
        (["realtime", "omni.v1"], "omni.v1"),
        (["omni.v1", "omni.v1+msgpack"], "omni.v1+msgpack"),
        (["chat"], None),
    ],
)
def test_one_subprotocol_is_chosen_and_never_the_key(offered: list[str], chosen: str | None) -> None:
    assert select_subprotocol(offered) == chosen


class TestOptingIn:
    def test_without_it_there_is_nothing_but_the_plain_protocol(self, url: str) -> None:
        with connected(url) as client:
            client.say("a red ball")
            client.answer()
            assert not [kind for kind in client.types() if kind.startswith("omni.")]

    @pytest.mark.parametrize(("subprotocols", "query"), [(["omni.v1"], ""), ([], "?omni=1"), (["realtime"], "?omni=1")])
    def test_at_the_handshake(self, url: str, subprotocols: list[str], query: str) -> None:
        with connected(url, subprotocols=subprotocols, query=query) as client:
            assert client.until("omni.session.capabilities")["recipes"]

    def test_by_session_update(self, url: str) -> None:
        with connected(url) as client:
            client.send({"type": "session.update", "session": {"type": "realtime", "omni": {"partials": "tokens"}}})
            assert client.until("session.updated")["session"]["omni"]["partials"] == "tokens"
            assert client.until("omni.session.capabilities")["speech_in"]["max_seconds"] == 30


class TestWhoMayComeIn:
    def test_a_key_in_a_header_or_a_subprotocol(self) -> None:
        with serving(ScriptedEngine(), settings=ServerSettings(keys=(Key.of("secret"),))) as url:
            with connected(url, additional_headers={"Authorization": "Bearer secret"}):
                pass
            with connected(url, subprotocols=["realtime", "openai-insecure-api-key.secret"]) as client:
                assert client.socket.subprotocol == "realtime"
            with pytest.raises(InvalidStatus) as refused, connect(f"{url}/v1/realtime"):
                pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"

    def test_a_page_of_another_site(self, url: str) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(f"{url}/v1/realtime", origin="https://evil.example"):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403

    def test_no_more_sessions_than_allowed(self) -> None:
        with serving(ScriptedEngine(), settings=ServerSettings(max_sessions=1)) as url:
            with connected(url), pytest.raises(InvalidStatus) as refused, connect(f"{url}/v1/realtime"):
                pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
            assert eventually(lambda: _can_connect(url))


def _can_connect(url: str) -> bool:
    try:
        with connected(url):
            return True
    except InvalidStatus:
        return False


class TestFrames:
    def test_a_binary_frame(self, url: str) -> None:
        with connected(url) as client:
            error = client.refused(b"\x00\x01")
            assert error["code"] == "binary_not_negotiated"
            assert "text frames" in error["message"]
            assert "omni.v1+msgpack" in error["message"]

    def test_messagepack_says_the_same_as_json(self, url: str) -> None:
        told = []
        for subprotocol in ("omni.v1", "omni.v1+msgpack"):
            with connected(url, subprotocols=[subprotocol]) as client:
                client.say("draw a red ball")
                client.answer(omni={"seed": 5})
                told.append((client.types(), client.of_type("omni.image.done")[0]["b64"]))
        (json_types, json_picture), (types, picture) = told
        assert set(types) == set(json_types)
        assert picture == base64.b64decode(json_picture)

    def test_who_negotiated_it_may_send_either_form(self, url: str) -> None:
        pcm = bytes(24_000)
        with connected(url, subprotocols=["omni.v1+msgpack"]) as client:
            client.send(msgspec.msgpack.encode({"type": "input_audio_buffer.append", "audio": pcm}))
            client.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
            item_id = client.ask(
                msgspec.msgpack.encode({"type": "input_audio_buffer.commit"}), "conversation.item.done"
            )
            retrieve = {"type": "conversation.item.retrieve", "item_id": item_id["item"]["id"]}
            item = client.ask(retrieve, "conversation.item.retrieved")["item"]
            assert item["content"][0]["audio"] == pcm + pcm

    def test_a_binary_frame_that_is_no_messagepack(self, url: str) -> None:
        with connected(url, subprotocols=["omni.v1+msgpack"]) as client:
            assert client.refused(b"\xc1\x00")["code"] == "invalid_msgpack"
            assert client.refused("{")["code"] == "invalid_json"

    def test_a_number_that_only_json_can_say_is_refused(self, url: str) -> None:
        with connected(url, subprotocols=["omni.v1+msgpack"]) as client:
            update = {"type": "session.update", "session": {"type": "realtime", "tracing": {"run": 10**30}}}
            error = client.refused(update)
            assert (error["code"], error["param"]) == ("invalid_value", "session.tracing.run")

    def test_too_large_a_frame_is_told_and_the_session_lives_on(self, url: str) -> None:
        with connected(url) as client:
            error = client.refused('"' + "x" * MAX_INBOUND_FRAME_BYTES + '"')
            assert error["code"] == "message_too_large"

    def test_far_too_large_a_frame_closes_and_the_server_lives_on(self, url: str) -> None:
        with connected(url) as client:
            with pytest.raises(ConnectionClosed):
                client.ask('"' + "x" * 3 * MAX_INBOUND_FRAME_BYTES + '"')
            assert client.socket.close_code in (1009, 1006)  # the reason is lost if it is cut off while still sending
        with connected(url) as another:
            another.say("a red ball")
            assert another.answer()["status"] == "completed"


class TestClientsThatGo:
    def test_one_that_vanishes_mid_answer_is_no_longer_worked_for(self, url: str, engine: ScriptedEngine) -> None:
        engine.hold = True
        with connected(url) as client:
            client.say("a red ball")
            client.send({"type": "response.create"})
            response_id = client.until("response.created")["response"]["id"]
            client.socket.socket.close()  # no goodbye
        assert eventually(lambda: engine.cancelled == [response_id])
        with connected(url) as another:
            engine.hold = False
            another.say("a blue ball")
            assert another.answer()["status"] == "completed"

    def test_one_that_says_goodbye_mid_answer(self, url: str, engine: ScriptedEngine) -> None:
        engine.hold = True
        with connected(url) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
        assert eventually(lambda: len(engine.cancelled) == 1)

    def test_one_that_reads_too_slowly_is_cut_off(self) -> None:
        settings = ServerSettings(max_unsent_events=8)
        with serving(ScriptedEngine(), settings=settings) as url, connected(url, max_queue=1) as client:
            client.ends_turns()
            retrieve = {"type": "conversation.item.retrieve", "item_id": client.speak(24_000 * 15)["item"]["id"]}
            with contextlib.suppress(ConnectionClosed):  # it may be cut off while it still asks
                for _ in range(100):  # small to ask, a megabyte to answer
                    client.send(retrieve)
            num_read = num_read_until_closed(client)
        assert num_read < 100
        assert client.socket.close_code == 1013


def num_read_until_closed(client: WireClient) -> int:
    before = len(client.seen)
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.receive()
            time.sleep(0.05)
    return len(client.seen) - before
