import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.cutting_proxy import CuttingProxy, cutting
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import Event, WireClient, connected

OMNI = {"subprotocols": ["omni.v1"]}


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def url(engine: ScriptedEngine) -> Iterator[str]:
    with serving(engine) as url:
        yield url


@pytest.fixture
def proxy(url: str) -> Iterator[CuttingProxy]:
    with cutting(url) as proxy:
        yield proxy


@contextlib.contextmanager
def reopened(url: str, subprotocol: str = "omni.v1", **options: Any) -> Iterator[WireClient]:
    """A socket that waits for its first event."""
    address = f"{url}/v1/realtime?autostart=0"
    with connect(address, subprotocols=[subprotocol], compression=None, **options) as socket:  # type: ignore[list-item]
        yield WireClient(socket)


def resume(created: Event, last: int) -> Event:
    return {
        "type": "session.resume",
        "session_id": created["session"]["id"],
        "resume_token": created["resume_token"],
        "last_received_server_event_seq": last,
    }


def created_of(client: WireClient) -> Event:
    return client.of_type("session.created")[0]


def last_seq(client: WireClient) -> int:
    return max(event.get("server_event_seq", 0) for event in client.seen)


def eventually(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


class TestStockClients:
    def test_see_nothing_of_it(self, url: str) -> None:
        with connected(url) as client:
            client.say("a red ball")
            client.answer()
        assert not any("server_event_seq" in event or "resume_token" in event for event in client.seen)

    def test_a_lost_socket_ends_their_session(self, engine: ScriptedEngine, proxy: CuttingProxy) -> None:
        engine.hold = True
        with connected(proxy.url) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
            proxy.cut()
        assert eventually(lambda: engine.cancelled)


class TestResuming:
    def test_the_answer_goes_on_and_nothing_is_lost_or_doubled(
        self, url: str, engine: ScriptedEngine, proxy: CuttingProxy
    ) -> None:
        engine.hold = True
        with connected(proxy.url, **OMNI) as client:
            client.say("a red ball")
            response_id = client.ask({"type": "response.create"}, "response.created")["response"]["id"]
            seen = last_seq(client)
            proxy.cut()
        engine.hold = False
        time.sleep(0.2)  # it is finished while nobody is there
        assert engine.cancelled == []
        with reopened(url) as again:
            resumed = again.ask(resume(created_of(client), seen), "session.resumed")
            done = again.until("response.done")
            assert done["response"]["id"] == response_id
            assert done["response"]["status"] == "completed"
            assert resumed["attachment_generation"] == 2
            assert resumed["resume_token"] != created_of(client)["resume_token"]
            numbers = [event["server_event_seq"] for event in again.seen if "server_event_seq" in event]
            assert numbers == list(range(seen + 1, last_seq(again) + 1))
            again.say("a blue ball")
            assert again.answer()["status"] == "completed"

    def test_who_opts_in_late_survives_from_then_on(
        self, url: str, engine: ScriptedEngine, proxy: CuttingProxy
    ) -> None:
        engine.hold = True
        with connected(proxy.url) as client:
            client.say("a red ball")
            assert not any("server_event_seq" in event for event in client.seen)
            update = {"type": "session.update", "session": {"omni": {"partials": "tokens"}}}
            updated = client.ask(update, "session.updated")
            assert (updated["attachment_generation"], updated["server_event_seq"]) == (1, 1)
            again = client.ask(update, "session.updated")
            assert "resume_token" not in again
            client.ask({"type": "response.create"}, "response.created")
            proxy.cut()
        engine.hold = False
        with reopened(url) as other:
            other.ask(resume(updated, again["server_event_seq"]), "session.resumed")
            assert other.until("response.done")["response"]["status"] == "completed"

    def test_events_that_were_sent_and_lost_come_again(self, url: str, proxy: CuttingProxy) -> None:
        with connected(proxy.url, **OMNI) as client:
            client.say("a red ball")
            seen = last_seq(client)
            done = client.answer()
            proxy.cut()
        with reopened(url, "omni.v1+msgpack") as again:  # in another form, too
            again.ask(resume(created_of(client), seen), "session.resumed")
            assert again.until("response.done")["response"]["id"] == done["id"]
            assert again.of_type("omni.image.done")

    def test_what_is_known_of_a_running_answer_is_told_whole(
        self, url: str, engine: ScriptedEngine, proxy: CuttingProxy
    ) -> None:
        engine.hold = True
        with connected(proxy.url, **OMNI) as client:
            client.say("a red ball")
            client.send({"type": "response.create"})
            while client.until("omni.progress")["step"] < engine.num_steps - 1:
                pass  # some are skipped
            proxy.cut()
        with reopened(url) as again:
            again.ask(resume(created_of(client), last_seq(client)), "session.resumed")
            engine.hold = False
            again.until("response.done")
            told = {
                (slot["name"], at)
                for event in again.of_type("omni.canvas.delta")
                for slot in event["slots"]
                for at, *_ in slot["updates"]
            }
            layout = client.of_type("omni.canvas.created")[0]["slots"]
            assert told == {(slot["name"], at) for slot in layout for at in range(slot["length"])}

    def test_the_last_event_that_was_taken_is_named(self, url: str, proxy: CuttingProxy) -> None:
        with connected(proxy.url, **OMNI) as client:
            client.ask({"type": "input_audio_buffer.clear", "event_id": "mine"}, "input_audio_buffer.cleared")
            proxy.cut()
        with reopened(url) as again:
            resumed = again.ask(resume(created_of(client), last_seq(client)), "session.resumed")
            assert resumed["last_client_event_id"] == "mine"

    def test_half_a_close_is_a_lost_socket(self, url: str, proxy: CuttingProxy) -> None:
        with connected(proxy.url, **OMNI) as client:
            client.say("a red ball")
            proxy.half_close()
        with reopened(url) as again:
            assert again.ask(resume(created_of(client), last_seq(client)), "session.resumed")

    def test_another_socket_takes_it_over(self, url: str) -> None:
        with connected(url, **OMNI) as client, reopened(url) as again:
            client.say("a red ball")
            again.ask(resume(created_of(client), last_seq(client)), "session.resumed")
            assert client.until("session.replaced")["attachment_generation"] == 2
            with pytest.raises(ConnectionClosed):
                client.receive()
            assert client.socket.close_code == 4001
            assert again.answer()["status"] == "completed"

    def test_a_journal_that_no_longer_reaches(self) -> None:
        with serving(ScriptedEngine(), settings=ServerSettings(max_journal_bytes=500)) as url, cutting(url) as proxy:
            with connected(proxy.url, **OMNI) as client:
                for _ in range(5):
                    client.say("a red ball")
                proxy.cut()
            with reopened(url) as again:
                again.ask(resume(created_of(client), 1), "session.resync_required")
                again.ask({"type": "session.update", "session": {"type": "realtime"}}, "session.created")
                again.until("session.updated")  # the same socket begins a new one

    def test_acknowledged_events_are_not_told_again(self, url: str, proxy: CuttingProxy) -> None:
        with connected(proxy.url, **OMNI) as client:
            client.say("a red ball")
            client.send({"type": "session.event_ack", "server_event_seq": last_seq(client)})
            client.ask({"type": "session.heartbeat"}, "session.heartbeat_ack")
            proxy.cut()
        with reopened(url) as again:
            again.ask(resume(created_of(client), 1), "session.resync_required")


class TestWhoMayResume:
    def refused(self, url: str, wanted: Event, **options: Any) -> Event:
        with reopened(url, **options) as again:
            error: Event = again.ask(wanted)["error"]
            return error

    def test_not_without_the_token(self, url: str, proxy: CuttingProxy) -> None:
        with connected(proxy.url, **OMNI) as client:
            proxy.cut()
        created = created_of(client)
        error = self.refused(url, resume({**created, "resume_token": "guessed"}, 1))
        assert error["code"] == "invalid_resume_token"
        unknown = {**created, "session": {"id": "sess_unknown"}}
        assert self.refused(url, resume(unknown, 1))["code"] == "session_resume_expired"
        assert self.refused(url, resume(created, 99))["code"] == "session_resume_conflict"

    def test_not_with_another_key(self, engine: ScriptedEngine) -> None:
        keys = (Key.of("a", "anna"), Key.of("b", "bert"))
        with serving(engine, settings=ServerSettings(keys=keys)) as url, cutting(url) as proxy:
            with connected(proxy.url, **OMNI, additional_headers={"Authorization": "Bearer a"}) as client:
                proxy.cut()
            wanted, shown = resume(created_of(client), 1), {"Authorization": "Bearer b"}
            assert self.refused(url, wanted, additional_headers=shown)["code"] == "invalid_resume_token"

    def test_not_after_a_goodbye(self, url: str) -> None:
        with connected(url, **OMNI) as client:
            pass
        assert self.refused(url, resume(created_of(client), 1))["code"] == "session_resume_expired"

    def test_not_after_the_window(self, engine: ScriptedEngine) -> None:
        engine.hold = True
        with serving(engine, settings=ServerSettings(resume_window_s=0.1)) as url, cutting(url) as proxy:
            with connected(proxy.url, **OMNI) as client:
                client.say("a red ball")
                client.ask({"type": "response.create"}, "response.created")
                proxy.cut()
            assert eventually(lambda: engine.cancelled)
            assert self.refused(url, resume(created_of(client), 1))["code"] == "session_resume_expired"

    def test_the_one_that_waited_longest_makes_room(self, engine: ScriptedEngine) -> None:
        with serving(engine, settings=ServerSettings(max_sessions=2)) as url, cutting(url) as proxy:
            lost = []
            for _ in range(3):
                with connected(proxy.url, **OMNI) as client:
                    proxy.cut()
                lost.append(created_of(client))
            assert self.refused(url, resume(lost[0], 1))["code"] == "session_resume_expired"
            with reopened(url) as again:
                again.ask(resume(lost[2], 1), "session.resumed")

    def test_not_in_the_middle_of_another_session(self, url: str) -> None:
        with connected(url, **OMNI) as client:
            assert client.refused(resume(created_of(client), 1))["code"] == "unsupported_session_resume"


class TestSocketEvents:
    def test_closing_it_for_good(self, url: str) -> None:
        with connected(url) as client:
            client.ask({"type": "session.close"}, "session.closed")
            with pytest.raises(ConnectionClosed):
                client.receive()
            assert client.socket.close_code == 1000

    def test_acknowledging_what_was_not_sent(self, url: str) -> None:
        with connected(url, **OMNI) as client:
            error = client.refused({"type": "session.event_ack", "server_event_seq": 1000})
            assert (error["code"], error["param"]) == ("invalid_event_ack", "server_event_seq")

    def test_heartbeats_and_pings_do_not_wait_for_the_engine(self, url: str, engine: ScriptedEngine) -> None:
        engine.hold = True  # its step does not end
        with connected(url, **OMNI) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
            before = time.monotonic()
            client.ask({"type": "session.heartbeat"}, "session.heartbeat_ack")
            assert client.socket.ping().wait(5)
            assert time.monotonic() - before < 5
            assert not client.of_type("response.done")


class TestItsTime:
    def test_one_that_is_not_used_is_told_and_closed(self, engine: ScriptedEngine) -> None:
        with serving(engine, settings=ServerSettings(idle_timeout_s=0.4)) as url, connected(url, **OMNI) as client:
            assert client.until("omni.session.go_away") | {"event_id": ""} == {
                "type": "omni.session.go_away",
                "event_id": "",
                "time_left_ms": 200,
                "reason": "idle",
            }
            client.send({"type": "session.heartbeat"})  # is no use
            client.until("session.heartbeat_ack")
            with pytest.raises(ConnectionClosed):
                client.until("never")
            assert client.socket.close_code == 4008

    def test_one_that_answers_is_used(self, engine: ScriptedEngine) -> None:
        engine.hold = True
        with serving(engine, settings=ServerSettings(idle_timeout_s=0.2)) as url, connected(url) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
            time.sleep(0.5)
            engine.hold = False
            assert client.until("response.done")["response"]["status"] == "completed"

    def test_none_lasts_for_ever(self, engine: ScriptedEngine) -> None:
        with serving(engine, settings=ServerSettings(max_session_s=0.3)) as url, connected(url) as client:
            with pytest.raises(ConnectionClosed):  # noqa: PT012 - it may close in the middle of either
                while True:
                    client.ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")
            assert client.socket.close_code == 1001
            assert not client.of_type("omni.session.go_away")

    def test_who_asks_for_nothing_is_let_go(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("runtime.server.connection.FIRST_EVENT_TIMEOUT_S", 0.1)
        with reopened(url) as client:
            with pytest.raises(ConnectionClosed):
                client.receive()
            assert client.socket.close_code == 4008
