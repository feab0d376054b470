import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.engine.request import ImagePart, SpeechPart
from tests.support.live_server import MODEL, SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import Event, WireClient, connected, image_item, text_item

PCM = np.round(8_000 * np.sin(np.arange(16_000) * 0.2)).astype("<i2")  # a second at 16 kHz


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, ScriptedEngine]]:
    engine = ScriptedEngine(texts={"text": "one two three four", "transcript": "a red ball"}, speech_s=2.0)
    with serving(engine, SPEAKING_MODEL) as url:
        yield url, engine


@pytest.fixture
def engine(server: tuple[str, ScriptedEngine]) -> Iterator[ScriptedEngine]:
    engine = server[1]
    engine.submitted.clear()
    yield engine
    engine.hold = False


@pytest.fixture
def client(server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> Iterator[WireClient]:
    with connected(server[0], query="?duplex=1") as client:
        yield client


def session(**settings: Any) -> Event:
    """As their client begins one."""
    ours = {"model": "any", "modalities": ["audio", "text"], "turn_detection": None, "sample_rate_hz": 16_000}
    formats = {"input_audio_format": "pcm16", "output_audio_format": "pcm16", "extra_body": {"auto_response": True}}
    rates = {"audio": {"input": {"sample_rate_hz": 16_000}, "output": {"sample_rate_hz": 24_000}}}
    return {"type": "session.update", "session": {**ours, **formats, **rates, **settings}}


def append(pcm: np.ndarray, **more: Any) -> Event:
    audio = base64.b64encode(pcm.tobytes()).decode()
    told = {"format": "pcm16", "sample_rate_hz": 16_000, "duration_ms": 1000, "audio_end_ms": 1000}
    return {"type": "input_audio_buffer.append", "audio": audio, **told, **more}


COMMIT = {"type": "input_audio_buffer.commit", "final": True}


def heard(engine: ScriptedEngine) -> np.ndarray:
    return next(part for part in engine.submitted[-1].turns[-1].parts if isinstance(part, SpeechPart)).pcm


class TestSession:
    def test_is_told_in_our_words(self, client: WireClient) -> None:
        told = client.ask(session(instructions="Be brief.", voice="alloy"), "session.updated")["session"]
        assert (told["output_modalities"], told["instructions"]) == (["audio"], "Be brief.")
        assert told["audio"]["output"]["voice"] == "alloy"
        assert told["audio"]["input"]["turn_detection"] is None

    def test_who_asks_for_text_too_is_written_to_by_a_model_that_does_not_speak(self) -> None:
        with serving(ScriptedEngine(), MODEL) as url, connected(url, query="?duplex=1") as client:
            assert client.ask(session(), "session.updated")["session"]["output_modalities"] == ["text"]
            error = client.refused(session(modalities=["audio"]))
            assert error["param"] == "session.output_modalities"

    @pytest.mark.parametrize(("policy", "interrupts"), [("listen_only", False), ("barge_in_on_speech", True)])
    def test_whether_speech_interrupts(self, client: WireClient, policy: str, interrupts: bool) -> None:
        told = client.ask(session(turn_detection={"type": "server_vad"}, overlap_policy=policy), "session.updated")
        assert told["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is interrupts

    @pytest.mark.parametrize(
        ("settings", "param"),
        [
            ({"ref_audio": "UklGRg=="}, "session.ref_audio"),
            ({"extra_body": {"force_listen_count": 0}}, "session.extra_body.force_listen_count"),
            ({"output_audio_format": "wav"}, "session.output_audio_format"),
            ({"audio": {"output": {"sample_rate_hz": 16_000}}}, "session.audio.output.sample_rate_hz"),
            ({"modalities": ["video"]}, "session.modalities[0]"),
        ],
    )
    def test_what_has_no_counterpart_is_refused(self, client: WireClient, settings: Any, param: str) -> None:
        assert client.refused(session(**settings))["param"] == param

    def test_what_was_refused_changes_nothing(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.refused(session(sample_rate_hz=48_000, ref_audio="UklGRg=="))
        client.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(PCM.tobytes()).decode()})
        client.ask(COMMIT, "response.done")
        assert len(heard(engine)) == 24_000

    def test_others_are_told_that_there_is_no_such_field(self, server: tuple[str, ScriptedEngine]) -> None:
        with connected(server[0]) as client:
            assert client.refused(session())["code"] == "unknown_parameter"
            assert client.refused(append(PCM))["param"] == "format"
            assert client.refused(COMMIT)["param"] == "final"
            assert client.refused({"type": "playback.ack", "played_ms": 1})["param"] == "type"


class TestTurns:
    def test_a_commit_is_answered_and_its_sound_resampled(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.ask(session(), "session.updated")
        for piece in np.split(PCM, 5):
            client.send(append(piece))
        assert client.ask(COMMIT, "response.done")["response"]["status"] == "completed"
        wanted = 8_000 * np.sin(np.arange(24_000) * 0.2 * 2 / 3)
        assert np.abs(heard(engine) - wanted)[100:-100].max() < 100

    def test_of_floats(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.send(append((PCM / 32767).astype("<f4"), format="pcm_f32le", sample_rate_hz=24_000))
        client.ask(COMMIT, "response.done")
        assert np.abs(heard(engine) - PCM).max() <= 1

    def test_half_a_sample_is_refused(self, client: WireClient) -> None:
        error = client.refused(append(np.zeros(5, np.uint8), event_id="half"))
        assert (error["param"], error["event_id"]) == ("audio", "half")
        assert "2 bytes a sample" in error["message"]

    def test_that_are_not_final_go_on(self, client: WireClient, engine: ScriptedEngine) -> None:
        for final in (False, True):
            client.send(append(PCM))
            client.send({**COMMIT, "final": final})
        client.until("response.done")
        assert len(heard(engine)) == 48_000

    def test_that_are_not_to_be_answered(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.ask(session(extra_body={"auto_response": False}), "session.updated")
        client.send(append(PCM))
        client.ask(COMMIT, "conversation.item.done")
        client.send(append(PCM))
        client.ask({**COMMIT, "response_create": True}, "response.done")
        assert len(engine.submitted) == 1

    def test_an_empty_one_is_told_once_and_answered_by_nothing(self, client: WireClient) -> None:
        error = client.refused({**COMMIT, "event_id": "mine"})
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        assert client.types().count("error") == 1

    def test_one_that_comes_into_an_answer_is_answered_after_it(
        self, client: WireClient, engine: ScriptedEngine
    ) -> None:
        engine.hold = True
        client.send(append(PCM))
        client.ask(COMMIT, "response.created")
        client.send(append(PCM))
        client.send(COMMIT)
        client.send({"type": "response.cancel"})
        assert client.until("response.done")["response"]["status"] == "cancelled"
        engine.hold = False
        assert client.until("response.done")["response"]["status"] == "completed"

    def test_frames_of_a_camera_are_seen(self, client: WireClient, engine: ScriptedEngine) -> None:
        file = io.BytesIO()
        Image.new("RGB", (8, 6), "red").save(file, "PNG")
        client.send(append(PCM, video_frames=[base64.b64encode(file.getvalue()).decode()]))
        client.send(append(np.zeros(0), video_frames=[base64.b64encode(file.getvalue()).decode()]))
        client.ask(COMMIT, "response.done")
        (seen,) = [part for part in engine.submitted[-1].turns[-1].parts if isinstance(part, ImagePart)]
        assert seen.pixels.shape == (6, 8, 3)

    def test_ours_are_taken_as_ever(self, client: WireClient) -> None:
        client.say("a red ball")
        assert client.answer()["status"] == "completed"
        assert client.refused({"type": "nix"})["param"] == "type"
        assert client.refused("{")["code"] == "invalid_json"
        file = io.BytesIO()
        Image.new("RGB", (8, 6), "red").save(file, "PNG")
        client.ask({"type": "conversation.item.create", "item": image_item(file.getvalue())}, "conversation.item.done")


class TestPlayback:
    def answered(self, client: WireClient, policy: str) -> Event:
        client.ask(session(playback_commit_policy=policy), "session.updated")
        client.say("good morning")
        return client.answer()

    def remembered(self, client: WireClient, done: Event) -> str:
        client.ask({"type": "conversation.item.create", "item": text_item("and now?")}, "conversation.item.done")
        ask = {"type": "conversation.item.retrieve", "item_id": done["output"][0]["id"]}
        return str(client.ask(ask, "conversation.item.retrieved")["item"]["content"][0]["transcript"])

    @pytest.mark.parametrize("named", [{}, {"response_id": "id", "item_id": "item_of_theirs"}])
    def test_what_was_acknowledged_is_remembered(self, client: WireClient, named: dict[str, str]) -> None:
        done = self.answered(client, "ack_only")
        named = named | ({"response_id": done["id"]} if named else {})
        for played_ms in (100, 1_000):
            client.send({"type": "playback.ack", "played_ms": played_ms, "committed_ms": played_ms, **named})
        assert self.remembered(client, done) == "good"

    def test_nothing_was_if_nothing_was_acknowledged(self, client: WireClient) -> None:
        assert self.remembered(client, self.answered(client, "ack_only")) == ""

    def test_all_was_if_it_came_to_its_end(self, client: WireClient) -> None:
        done = self.answered(client, "commit_all_on_done")
        client.send({"type": "playback.ack", "played_ms": 1_000})
        assert self.remembered(client, done) == "good morning"

    def test_a_wrong_one_is_told(self, client: WireClient) -> None:
        assert client.refused({"type": "playback.ack", "played_ms": -1})["param"] == "played_ms"
