"""The users that locust plays, without locust: before a real server, over the SDK's own websocket library."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine


class FakeUser:
    host = ""

    def __init__(self, notes: list[dict[str, Any]]) -> None:
        fire = SimpleNamespace(fire=lambda **note: notes.append(note))
        self.environment = SimpleNamespace(events=SimpleNamespace(request=fire))


@pytest.fixture
def talkers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    locust, websocket = ModuleType("locust"), ModuleType("websocket")
    locust.__dict__.update(User=FakeUser, between=lambda *_: None, task=lambda method: method)
    websocket.__dict__.update(
        WebSocket=object,
        WebSocketException=ConnectionError,
        create_connection=lambda url, timeout: connect(url, open_timeout=timeout, compression=None),
    )
    monkeypatch.setitem(sys.modules, "locust", locust)
    monkeypatch.setitem(sys.modules, "websocket", websocket)
    name = "runtime.benchmarks.swarm.talkers"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "CHUNK_S", 0.02)
    yield module
    del sys.modules[name]


@pytest.fixture
def notes() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def talker(talkers: Any, notes: list[dict[str, Any]]) -> Iterator[Any]:
    with serving(ScriptedEngine()) as url:
        talker = talkers.Talker(notes)
        talker.host = url
        talker.on_start()
        yield talker
        talker.on_stop()


def test_a_turn_is_noted_by_what_was_waited_for(talker: Any, notes: list[dict[str, Any]]) -> None:
    talker.turn()
    names = [note["name"] for note in notes]
    assert names == [
        "0 session opened",
        "1 first event",
        "2 first word",
        "3 answer",
        "4 item deleted",
        "4 item deleted",
    ]
    assert all(note["exception"] is None for note in notes)
    first, word, answer = (note["response_time"] for note in notes[1:4])
    assert 0 < first <= word <= answer


def test_what_goes_wrong_is_a_failure_and_the_user_begins_anew(
    talker: Any, talkers: Any, notes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = dict(reversed(talkers.ORDER.items()))
    monkeypatch.setattr(talkers, "ORDER", order)
    talker.turn()
    failed = [str(note["exception"]) for note in notes if note["exception"] is not None]
    assert failed == ["input_audio_buffer.committed came before response.done"]
    assert notes[-1]["name"] == "0 session opened"
