"""A session with a server, written down and played again."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from omnisdk.agent import Agent
from omnisdk.client import Client
from omnisdk.errors import OmniError, ResponseFailed, ServerError
from omnisdk.media import Image, Speech
from omnisdk.testing import ScriptedRuntime, ScriptError, record, replay
from omnisdk.tools import tool


@tool
def set_light(room: str, on: bool) -> str:
    """Turn a light on or off."""
    return f"{room} is {'on' if on else 'off'}"


def assistant(url: str, words: str = "lights off") -> str:
    with Client(url) as omni:
        shown = Image(np.zeros((4, 4, 3), np.uint8))
        assert omni.ask(Speech(np.zeros(4800, np.int16), sample_rate_hz=24_000), shown).image == shown
        return Agent(omni, tools=[set_light]).run_sync(words).text


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "lights.jsonl"
    with ScriptedRuntime() as scripted:
        scripted.hear("what is it?").say("a picture", image=Image(np.zeros((4, 4, 3), np.uint8)))
        scripted.call("set_light", room="hall", on=False).say("Done.")
        with record(path, scripted.url) as runtime:
            assert assistant(runtime.url) == "Done."
        scripted.verify()
    return path


def test_it_plays_again_with_other_ids(recording: Path) -> None:
    for _ in range(2):
        with replay(recording) as runtime:
            assert assistant(runtime.url) == "Done."


def test_what_is_said_otherwise_is_told(recording: Path) -> None:
    told = r'session 1, event \d+ \(conversation.item.create\): item.content\[0\].text was "lights off", now it is "on"'
    runtime = replay(recording)
    with suppress(ScriptError), runtime, pytest.raises((ServerError, ResponseFailed), match="not_recorded"):
        assistant(runtime.url, "on")
    with pytest.raises(ScriptError, match=told):
        runtime.verify()


def test_what_is_not_said_is_told(recording: Path) -> None:
    runtime = replay(recording)
    with suppress(ScriptError), runtime, Client(runtime.url) as omni, omni.session():
        pass
    with pytest.raises(ScriptError, match=r"session 0, event \d+: the client left; .*; 2 sessions were recorded, 1 "):
        runtime.verify()


def test_one_session_too_many(recording: Path) -> None:
    runtime = replay(recording)
    with suppress(ScriptError), runtime:
        assistant(runtime.url)
        with pytest.raises(OmniError), Client(runtime.url) as omni:
            omni.ask("hello")
    with pytest.raises(ScriptError, match="2 sessions were recorded; one more was opened"):
        runtime.verify()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no session"),
        ('{"session": 0, "from": "client"', "is no whole recording"),
        ('{"session": 0, "from": "me", "event": {}}', "a line from 'me' came"),
        ("3", "is no whole recording"),
    ],
)
def test_files_that_are_no_recording(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(OmniError, match=told):
        replay(tmp_path / "a.jsonl")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(OmniError, match="there is no recording"):
        replay(tmp_path / "a.jsonl")


def test_the_key_is_not_written(recording: Path, tmp_path: Path) -> None:
    with ScriptedRuntime() as scripted, record(tmp_path / "a.jsonl", scripted.url, api_key="hush") as runtime:
        scripted.say("hi")
        with Client(runtime.url, api_key="hush") as omni:
            omni.ask("hello")
    written = (tmp_path / "a.jsonl").read_text()
    assert "hush" not in written
    assert {json.loads(line)["from"] for line in written.splitlines()} == {"client", "server"}
