import base64
import io
import re
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest
from PIL import Image

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.given import GivenImage, GivenText
from runtime.engine.request import ImagePart, SpeechPart, TextPart
from runtime.executors.in_process import InProcessExecutor
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model
from tests.support.wire_client import Event, WireClient, connected, image_item, speech, text_item


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, ScriptedEngine]]:
    engine = ScriptedEngine()
    with serving(engine) as url:
        yield url, engine


@pytest.fixture
def engine(server: tuple[str, ScriptedEngine]) -> Iterator[ScriptedEngine]:
    engine = server[1]
    engine.submitted.clear()
    yield engine
    engine.hold, engine.fails = False, None


@pytest.fixture
def client(server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> Iterator[WireClient]:
    with connected(server[0]) as client:
        yield client


@pytest.fixture
def omni(server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> Iterator[WireClient]:
    with connected(server[0], subprotocols=["omni.v1"]) as client:
        yield client


def png(width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def once(kinds: list[str]) -> list[str]:
    """Each run of equal kinds as one: how many deltas there are is not promised."""
    return [kind for kind, _ in groupby(kinds)]


class TestAnswers:
    def test_events_of_a_written_turn_come_in_order(self, client: WireClient) -> None:
        client.say("draw a red ball")
        client.answer()
        assert once(client.types()) == [
            "session.created",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]

    def test_what_was_interrupted_before_anything_was_answered_is_not_said_along_with_what_comes_next(self) -> None:
        engine = ScriptedEngine(texts={"text": "x"}, num_steps=2, hold=True)  # half of it is nothing
        with serving(engine) as url, connected(url) as client:
            written = {"metadata": {"omni_output": "text"}}
            client.say("what can you do?")
            client.ask({"type": "response.create", "response": written}, "response.content_part.added")
            assert client.ask({"type": "response.cancel"}, "response.done")["response"]["status"] == "cancelled"
            engine.hold = False
            client.say("draw a cat")
            client.answer(**written)
        assert [part.text for part in engine.submitted[-1].turns[-1].parts] == ["draw a cat"]

    def test_a_spoken_turn_is_transcribed(self, client: WireClient, engine: ScriptedEngine) -> None:
        user_item = client.speak(12_000)["item"]
        client.answer()
        heard = client.of_type("conversation.item.input_audio_transcription.completed")[0]
        assert (heard["item_id"], heard["transcript"]) == (user_item["id"], "a red ball")
        assert heard["usage"] == {"type": "duration", "seconds": 0.5}
        assert client.of_type("response.output_text.done")[0]["text"] == "here it is"
        (part,) = engine.submitted[0].turns[-1].parts
        assert isinstance(part, SpeechPart)
        assert (len(part.pcm), part.sample_rate_hz) == (12_000, 24_000)
        assert engine.submitted[0].recipe.name == "speech_to_image"

    def test_what_was_heard_is_the_reply_where_nothing_else_is_asked(self, client: WireClient) -> None:
        client.speak()
        done = client.answer(metadata={"omni_output": "text"})
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "a red ball"}]
        assert "omni" not in done

    def test_a_question_about_a_picture(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.ask({"type": "conversation.item.create", "item": image_item(png())}, "conversation.item.done")
        client.say("what is this?")
        client.answer()
        image, question = engine.submitted[0].turns[-1].parts
        assert isinstance(image, ImagePart)
        assert image.pixels.shape == (6, 8, 3)
        assert question == TextPart("what is this?")
        assert engine.submitted[0].recipe.name == "image_to_text"

    def test_done_says_what_was_made(self, client: WireClient) -> None:
        client.say("a red ball")
        done = client.answer(metadata={"client_event_id": "c7"})
        assert (done["status"], done["metadata"]) == ("completed", {"client_event_id": "c7"})
        assert client.of_type("response.created")[0]["response"]["metadata"] == {"client_event_id": "c7"}
        assert done["usage"]["total_tokens"] == 24
        assert done["usage"]["output_token_details"]["image_tokens"] == 16
        (item,) = done["output"]
        assert item["content"] == [{"type": "output_text", "text": "here it is"}]
        assert item["omni"]["images"] == done["omni"]["images"]
        assert client.of_type("response.output_item.done")[0]["item"] == item

    def test_the_answer_is_part_of_the_conversation(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.say("a red ball")
        item_id = client.answer()["output"][0]["id"]
        retrieved = client.ask(
            {"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved"
        )
        assert retrieved["item"]["content"] == [{"type": "output_text", "text": "here it is"}]
        assert client.say("and now?")["previous_item_id"] == item_id
        client.answer(metadata={"omni_output": "text"})
        assert engine.submitted[-1].recipe.name == "image_to_text"
        assert [turn.role for turn in engine.submitted[-1].turns] == ["user", "assistant", "user"]

    def test_a_failed_answer(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.fails = "out of memory"
        client.say("a red ball")
        done = client.answer()
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["message"] == "out of memory"
        assert client.types()[-4:-1] == [
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
        ]
        engine.fails = None
        assert client.answer()["status"] == "completed"

    def test_instructions_are_a_system_turn(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.ask({"type": "session.update", "session": {"instructions": "be brief"}}, "session.updated")
        client.say("a red ball")
        client.answer()
        client.answer(instructions="be long")
        said = [request.turns[0].parts for request in engine.submitted]
        assert said == [(TextPart("be brief"),), (TextPart("be long"),)]


@pytest.fixture(scope="module")
def speaking_server() -> Iterator[tuple[str, ScriptedEngine]]:
    engine = ScriptedEngine(speech_s=5.0)
    with serving(engine, SPEAKING_MODEL) as url:
        yield url, engine


class TestSpokenAnswers:
    @pytest.fixture
    def engine(self, speaking_server: tuple[str, ScriptedEngine]) -> Iterator[ScriptedEngine]:
        engine = speaking_server[1]
        engine.submitted.clear()
        yield engine
        engine.hold, engine.fails = False, None

    @pytest.fixture
    def plain(self, speaking_server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> Iterator[WireClient]:
        with connected(speaking_server[0], max_frame_bytes=256 * 1024) as client:
            yield client

    @pytest.fixture
    def omni(self, speaking_server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> Iterator[WireClient]:
        with connected(speaking_server[0], subprotocols=["omni.v1"]) as client:
            yield client

    def test_events_come_in_order(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.ask({"type": "session.update", "session": {"output_modalities": ["audio"]}}, "session.updated")
        plain.speak()
        begun = len(plain.seen)
        done = plain.answer()
        assert engine.submitted[0].recipe.name == "speech_to_speech"
        assert once(plain.types()[begun:]) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert plain.of_type("response.content_part.added")[0]["part"] == {"type": "audio", "transcript": ""}
        assert plain.of_type("response.content_part.done")[0]["part"] == {"type": "audio", "transcript": "here it is"}
        assert plain.of_type("response.output_audio_transcript.done")[0]["transcript"] == "here it is"
        assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "here it is"}]
        assert done["output_modalities"] == ["audio"]
        assert done["usage"]["output_token_details"]["audio_tokens"] == 25

    def test_the_sound_is_what_was_made(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.speak()
        plain.answer(output_modalities=["audio"])
        deltas = [base64.b64decode(event["delta"]) for event in plain.of_type("response.output_audio.delta")]
        pcm = np.frombuffer(b"".join(deltas), "<i2").astype(float)
        assert len(pcm) == 24_000 * 5
        spectrum = np.abs(np.fft.rfft(pcm))
        assert spectrum.argmax() / 5 == 440  # Hz
        assert 8_000 < np.abs(pcm[1000:-1000]).max() < 8_400

    def test_a_text_is_read_aloud(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.say("good morning")
        done = plain.answer(metadata={"omni_output": "speech"})
        assert engine.submitted[0].recipe.name == "text_to_speech"
        assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "good morning"}]

    def test_text_means_text(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.speak()
        done = plain.answer(output_modalities=["text"])
        assert engine.submitted[0].recipe.name == "speech_to_text"
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "a red ball"}]
        assert done["output_modalities"] == ["text"]

    def test_a_later_turn_reads_its_words(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.speak()
        item_id = plain.answer(output_modalities=["audio"])["output"][0]["id"]
        retrieve = {"type": "conversation.item.retrieve", "item_id": item_id}
        item = plain.ask(retrieve, "conversation.item.retrieved")["item"]
        assert item["content"] == [{"type": "output_audio", "transcript": "here it is"}]
        plain.speak()
        plain.answer(output_modalities=["audio"])
        assert engine.submitted[-1].turns[1].parts == (TextPart("here it is"),)

    def test_what_was_heard_of_it_stays(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.speak()
        item_id = plain.answer(output_modalities=["audio"])["output"][0]["id"]
        truncate = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 2_500}
        assert plain.ask(truncate, "conversation.item.truncated")["audio_end_ms"] == 2_500  # of 5 s
        plain.speak()
        plain.answer(output_modalities=["audio"])
        assert engine.submitted[-1].turns[1].parts == (TextPart("here"),)
        late = plain.ask({**truncate, "audio_end_ms": 10**6}, "conversation.item.truncated")
        assert late["audio_end_ms"] == 5_000

    def test_telephone_sound(self, plain: WireClient) -> None:
        telephone = {"format": {"type": "audio/pcmu"}}
        plain.ask(
            {"type": "session.update", "session": {"audio": {"input": telephone, "output": telephone}}},
            "session.updated",
        )
        plain.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(8_000)).decode()})
        plain.ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")
        plain.answer(output_modalities=["audio"])
        sound = b"".join(base64.b64decode(e["delta"]) for e in plain.of_type("response.output_audio.delta"))
        assert len(sound) == 5 * 8_000

    @pytest.mark.parametrize("fails", [None, "out of memory"])
    def test_an_answer_that_is_not_finished(self, plain: WireClient, engine: ScriptedEngine, fails: str | None) -> None:
        plain.speak()
        engine.hold, engine.fails = True, fails
        plain.ask(
            {"type": "response.create", "response": {"output_modalities": ["audio"]}}, "response.content_part.added"
        )
        if fails is None:
            plain.send({"type": "response.cancel"})
        done = plain.until("response.done")["response"]
        assert done["status"] == ("cancelled" if fails is None else "failed")
        said = "".join(event["delta"] for event in plain.of_type("response.output_audio_transcript.delta"))
        assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": said}]
        assert "here it is".startswith(said)
        assert "response.output_audio.delta" not in plain.types()
        assert plain.types()[-6:-3] == [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
        ]

    def test_its_progress_is_told(self, omni: WireClient) -> None:
        omni.speak()
        omni.answer(omni={"output": ["speech", "text"]})
        assert [slot["name"] for slot in omni.of_type("omni.canvas.created")[0]["slots"]] == ["text", "speech"]
        shares = [event["slots"]["speech"] for event in omni.of_type("omni.progress")]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert omni.of_type("response.output_audio.delta")

    def test_a_recipe_by_name(self, omni: WireClient, engine: ScriptedEngine) -> None:
        image = {"type": "conversation.item.create", "item": image_item(png())}
        omni.ask(image, "conversation.item.done")
        recipe = {"type": "session.update", "session": {"omni": {"recipe": "captioning"}}}
        assert omni.ask(recipe, "session.updated")["session"]["omni"]["recipe"] == "captioning"
        omni.answer()
        assert engine.submitted[0].recipe.name == "captioning"
        error = omni.refused({"type": "response.create", "response": {"omni": {"recipe": "speech_to_text"}}})
        assert (error["code"], error["param"]) == ("unsupported_value", "response.omni.recipe")


class TestCancelling:
    def test_cancel_ends_with_response_done(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.hold = True
        client.say("a red ball")
        client.ask({"type": "response.create"}, "response.content_part.added")
        done = client.ask({"type": "response.cancel"}, "response.done")["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        assert done["output"][0]["status"] == "incomplete"
        engine.hold = False
        assert client.answer()["status"] == "completed"

    def test_cancel_with_nothing_active(self, client: WireClient) -> None:
        error = client.refused({"type": "response.cancel", "event_id": "c1"})
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "c1")
        assert error["message"].startswith("Cancellation failed")

    def test_a_second_response_at_once(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.hold = True
        client.say("a red ball")
        client.ask({"type": "response.create"}, "response.content_part.added")
        assert client.refused({"type": "response.create"})["code"] == "conversation_already_has_active_response"
        engine.hold = False
        assert client.until("response.done")["response"]["status"] == "completed"

    def test_finalize_gives_the_best_so_far(self, omni: WireClient, engine: ScriptedEngine) -> None:
        engine.hold = True
        omni.say("a red ball")
        response_id = omni.ask({"type": "response.create"}, "response.created")["response"]["id"]
        omni.until("omni.progress")
        done = omni.ask({"type": "omni.response.finalize", "response_id": response_id}, "response.done")["response"]
        assert (done["status"], done["omni"]["reason"]) == ("incomplete", "finalized")
        assert omni.of_type("omni.image.done")

    def test_finalize_with_nothing_active(self, omni: WireClient) -> None:
        error = omni.refused({"type": "omni.response.finalize", "response_id": "resp_1"})
        assert error["code"] == "response_finalize_not_active"


class TestExtension:
    def test_the_canvas_is_told_from_beginning_to_end(self, omni: WireClient) -> None:
        omni.speak()
        omni.answer(omni={"seed": 7})
        created = omni.of_type("omni.canvas.created")[0]
        assert [slot["name"] for slot in created["slots"]] == ["transcript", "image", "text"]
        assert (created["seed"], created["slots"][1]["rows"]) == (7, 4)
        assert omni.types()[-2:] == ["omni.canvas.done", "response.done"]
        assert omni.of_type("omni.canvas.done")[0]["canvas_id"] == created["canvas_id"]

    def test_deltas_add_up_to_the_whole_canvas(self, omni: WireClient) -> None:
        omni.say("a red ball")
        omni.answer()
        filled = {
            (change["name"], position)
            for delta in omni.of_type("omni.canvas.delta")
            for change in delta["slots"]
            for position, _, _ in change["updates"]
        }
        slots = omni.of_type("omni.canvas.created")[0]["slots"]
        assert filled == {(slot["name"], position) for slot in slots for position in range(slot["length"])}

    def test_the_picture_comes_with_its_bytes(self, omni: WireClient) -> None:
        omni.say("a red ball")
        omni.answer()
        picture = omni.of_type("omni.image.done")[0]
        image = Image.open(io.BytesIO(base64.b64decode(picture["b64"])))
        assert image.size == (picture["image"]["width"], picture["image"]["height"]) == (32, 32)
        assert np.asarray(image)[0, 0].tolist() == [200, 200, 200]

    def test_partials_end_with_progress(self, omni: WireClient) -> None:
        omni.say("a red ball")
        omni.answer()
        kinds = omni.types()
        last = len(kinds) - 1 - kinds[::-1].index("omni.progress")
        assert kinds[last - 1] == "omni.image.partial"
        assert omni.seen[last]["unmasked_ratio"] == 1.0

    def test_no_partials_if_none_are_wanted(self, omni: WireClient, engine: ScriptedEngine) -> None:
        omni.say("a red ball")
        omni.answer(omni={"partials": "off"})
        assert not {"omni.progress", "omni.canvas.delta", "omni.image.partial"} & set(omni.types())
        assert omni.of_type("omni.image.done")
        assert engine.submitted[0].partial_every == 0

    def test_settings_reach_the_engine(self, omni: WireClient, engine: ScriptedEngine) -> None:
        omni.say("a red ball")
        omni.answer(omni={"seed": 5, "steps": 40, "deadline_ms": 900, "partial_every": 3, "partials": "tokens"})
        request = engine.submitted[0]
        assert (request.seed, request.partial_every) == (5, 3)
        assert 600 < (request.deadline_ms or 0) <= 900  # what is left of it
        assert next(slot.steps for slot in request.recipe.slots if slot.name == "image") == 40

    def test_the_numbers_of_slots_reach_the_engine(self, omni: WireClient, engine: ScriptedEngine) -> None:
        generation = {"image": {"temperature": 0.5, "steps": 7}, "text": {"length": 8}}
        session = {"omni": {"generation": generation}}
        told = omni.ask({"type": "session.update", "session": session}, "session.updated")["session"]["omni"]
        assert told["generation"] == generation
        omni.say("a red ball")
        omni.answer(omni={"steps": 40, "generation": {"image": {"temperature": None, "top_k": 9}}})
        picture, text = engine.submitted[0].recipe.slots
        assert (picture.steps, picture.temperature, picture.top_k, text.length) == (7, 1.0, 9, 8)

    def test_every_recipe_is_told_with_its_numbers(self, omni: WireClient) -> None:
        told = omni.ask({"type": "session.update", "session": {"omni": {}}}, "omni.session.capabilities")
        assert [recipe["name"] for recipe in told["recipe_details"]] == told["recipes"]
        assert told["recipe_details"][0]["slots"][0]["steps"] == 8

    def test_without_a_seed_every_answer_has_its_own(self, omni: WireClient, engine: ScriptedEngine) -> None:
        omni.say("a red ball")
        omni.answer()
        omni.answer()
        assert engine.submitted[0].seed != engine.submitted[1].seed

    def test_a_picture_alone(self, omni: WireClient) -> None:
        omni.say("a red ball")
        done = omni.answer(omni={"output": ["image"]})
        assert done["output"][0]["content"] == []
        assert "response.content_part.added" not in omni.types()
        assert omni.of_type("omni.image.done")


class TestBadInput:
    """Each is told what is wrong, and the session lives on."""

    @pytest.mark.parametrize(
        ("frame", "code", "param"),
        [
            ('{"type": "response.create"', "invalid_json", None),
            ("[]", "invalid_json", None),
            ('{"type": "response.please"}', "invalid_value", "type"),
            ('{"type": "response.cancel", "colour": 1}', "unknown_parameter", "colour"),
            ('{"type": "session.update", "session": {"speed": 1}}', "unknown_parameter", "session.speed"),
            ('{"type": "conversation.item.create"}', "missing_required_parameter", "item"),
            ('{"type": "response.create"}', "conversation_has_no_user_item", None),
            ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty", None),
            ('{"type": "input_audio_buffer.append", "audio": ""}', "invalid_value", "audio"),
            ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_value", "audio"),
            ('{"type": "input_audio_buffer.append", "audio": "A"}', "invalid_value", "audio"),
            ('{"type": "conversation.item.retrieve", "item_id": "x"}', "item_retrieve_invalid_item_id", "item_id"),
            ('{"type": "conversation.item.delete", "item_id": "x"}', "item_delete_invalid_item_id", "item_id"),
        ],
    )
    def test_events(self, client: WireClient, frame: str, code: str, param: str | None) -> None:
        error = client.refused(frame)
        assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")

    @pytest.mark.parametrize(
        ("omni", "param", "told"),
        [
            ({"recipe": "captioning"}, "recipe", "no recipe 'captioning'; this model has text_to_image"),
            (
                {"generation": {"picture": {}}},
                "generation.picture",
                "no slot 'picture'; .* are image, text, transcript",
            ),
            ({"generation": {"image": {"steps": 0}}}, "generation.image.steps", "0 came, .* send 1 to 1024"),
            ({"output": ["speech"]}, "output", "output speech came; this model does not speak; leave speech out"),
        ],
    )
    @pytest.mark.parametrize("kind", ["session.update", "response.create"])
    def test_settings_the_model_has_not(
        self, client: WireClient, kind: str, omni: Event, param: str, told: str
    ) -> None:
        client.say("a red ball")
        place = kind.partition(".")[0]
        error = client.refused({"type": kind, place: {"omni": omni}})
        assert error["param"] == f"{place}.omni.{param}"
        assert re.search(told, error["message"])

    def test_an_item_twice(self, client: WireClient) -> None:
        create = {"type": "conversation.item.create", "item": {**text_item("x"), "id": "mine"}}
        client.ask(create, "conversation.item.done")
        assert client.refused(create)["code"] == "item_create_duplicate_item_id"

    def test_half_an_hour_of_speech(self, client: WireClient) -> None:
        client.ends_turns()
        minute = {"type": "input_audio_buffer.append", "audio": speech(24_000 * 10)}
        for _ in range(3):
            client.send(minute)
        assert client.ask(minute)["error"]["code"] == "input_audio_too_long"
        assert "40.0 s of audio came; a turn takes at most 30 s" in client.seen[-1]["error"]["message"]
        for _ in range(5):
            client.send(minute)
        client.ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")
        client.answer()
        assert client.of_type("conversation.item.input_audio_transcription.completed")[0]["usage"]["seconds"] == 30

    @pytest.mark.parametrize("content", [b"", b"no image", png()[:40]])
    def test_bytes_that_are_no_image(self, client: WireClient, content: bytes) -> None:
        error = client.refused({"type": "conversation.item.create", "item": image_item(content)})
        assert (error["code"], error["param"]) == ("invalid_image", "item.content[0].image_url")

    def test_100_megapixels(self, client: WireClient) -> None:
        file = io.BytesIO()
        Image.new("1", (10_000, 10_000)).save(file, "PNG")
        error = client.refused({"type": "conversation.item.create", "item": image_item(file.getvalue())})
        assert "100.0 megapixels" in error["message"]
        assert error["param"] == "item.content[0].image_url"

    def test_audio_answers_and_turn_detection(self, client: WireClient) -> None:
        error = client.refused({"type": "session.update", "session": {"output_modalities": ["audio"]}})
        assert (error["code"], error["param"]) == ("invalid_value", "session.output_modalities")
        vad: Event = {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}}
        error = client.refused({"type": "session.update", "session": vad})
        assert error["param"] == "session.audio.input.turn_detection.threshold"

    def test_too_much_media_in_one_conversation(self, client: WireClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("omnisdk.protocol.limits.MAX_CONVERSATION_MEDIA_BYTES", 1000)
        error = client.refused({"type": "conversation.item.create", "item": image_item(png(40, 40))})
        assert error["code"] == "conversation_too_large"


class TestGiven:
    def test_what_is_given_reaches_the_engine(self, omni: WireClient, engine: ScriptedEngine) -> None:
        omni.say("a red ball")
        picture = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
        image = {"type": "image", "image_url": picture, "box": [0, 0, 2, 2]}
        omni.answer(omni={"given": [{"type": "text", "text": "a {mask} ball"}, image]})
        text, drawn = engine.submitted[-1].given
        assert text == GivenText("text", ("a ", " ball"))
        assert isinstance(drawn, GivenImage)
        omni.answer()
        assert engine.submitted[-1].given == ()

    def test_a_session_is_given_nothing(self, omni: WireClient) -> None:
        wanted = {"given": [{"type": "text", "text": "x"}]}
        error = omni.refused({"type": "session.update", "session": {"omni": wanted}})
        assert error["param"] == "session.omni.given"


class TestFork:
    @pytest.fixture
    def omni(self) -> Iterator[WireClient]:
        model = tiny_model()
        engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
        with serving(engine) as url, connected(url, subprotocols=["omni.v1"]) as client:
            yield client

    def test_two_answers_have_a_common_beginning(self, omni: WireClient) -> None:
        omni.say("a cat")
        slow = {"omni": {"steps": 100, "seed": 1}}
        omni.send({"type": "response.create", "response": slow})
        first = omni.until("omni.canvas.created")
        omni.until("omni.progress")
        fork = {"type": "omni.canvas.fork", "canvas_id": first["canvas_id"], "seed": 2, "metadata": {"which": "b"}}
        second = omni.ask(fork, "response.created")["response"]
        assert (second["metadata"], second["conversation_id"]) == ({"which": "b"}, None)
        ended = [omni.until("response.done")["response"] for _ in range(2)]
        assert [done["status"] for done in ended] == ["completed"] * 2
        canvases = {canvas["canvas_id"]: canvas for canvas in omni.of_type("omni.canvas.created")}
        assert len(canvases) == 2
        assert len(omni.of_type("conversation.item.done")) == 2  # what was said, and the first answer
        pictures = [event["b64"] for event in omni.of_type("omni.image.done")]
        assert len(set(pictures)) == 2

    def test_what_cannot_be_forked(self, omni: WireClient) -> None:
        error = omni.refused({"type": "omni.canvas.fork", "canvas_id": "nix"})
        assert (error["code"], error["param"]) == ("canvas_edit_not_active", "canvas_id")

    def test_a_step_that_was_not_kept_is_refused_and_no_response_begins(self, omni: WireClient) -> None:
        omni.say("a cat")
        steps = omni.answer(omni={"steps": 4, "partials": "off"})["usage"]["omni"]["steps"]
        fork = {"type": "omni.canvas.fork", "canvas_id": omni.of_type("omni.canvas.created")[0]["canvas_id"]}
        for _ in range(9):  # one more than responses beside the conversation at once: none of these holds a place
            error = omni.refused(fork | {"at_step": 99, "event_id": "mine"})
            assert (error["code"], error["param"], error["event_id"]) == ("canvas_fork_refused", "at_step", "mine")
            assert f"step 99 came; steps 0 to {steps} are kept" in error["message"]
        assert len(omni.of_type("response.created")) == 1
        assert omni.ask(fork | {"at_step": 2}, "response.done")["response"]["status"] == "completed"

    @pytest.mark.parametrize(
        ("metadata", "said"),
        [
            ({f"key{n}": "" for n in range(17)}, "17 pairs came; metadata takes at most 16"),
            ({"k" * 65: ""}, "a key of 65 characters came; metadata takes at most 64"),
            ({"k": "v" * 513}, "a value of 513 characters came; metadata takes at most 512"),
        ],
    )
    def test_metadata_is_bounded_as_that_of_any_response(
        self, omni: WireClient, metadata: dict[str, str], said: str
    ) -> None:
        omni.say("a cat")
        omni.answer(omni={"steps": 2})
        canvas_id = omni.of_type("omni.canvas.created")[0]["canvas_id"]
        error = omni.refused({"type": "omni.canvas.fork", "canvas_id": canvas_id, "at_step": 1, "metadata": metadata})
        assert (error["code"], error["param"], said in error["message"]) == ("invalid_value", "metadata", True)
        error = omni.refused({"type": "response.create", "response": {"metadata": metadata}})
        assert (error["param"], said in error["message"]) == ("response.metadata", True)


class TestBesideTheConversation:
    def test_a_response_of_its_own(self, client: WireClient, engine: ScriptedEngine) -> None:
        client.say("draw a red ball")
        before = len(client.of_type("conversation.item.added"))
        item = text_item("another thing")
        done = client.answer(conversation="none", input=[item], metadata={"topic": "aside"})
        assert (done["status"], done["metadata"]) == ("completed", {"topic": "aside"})
        assert done["conversation_id"] is None
        assert len(client.of_type("conversation.item.added")) == before
        assert [turn.parts for turn in engine.submitted[-1].turns] == [(TextPart("another thing"),)]
        client.answer()
        assert engine.submitted[-1].turns[0].parts == (TextPart("draw a red ball"),)

    def test_beside_the_one_of_the_conversation(self, client: WireClient, engine: ScriptedEngine) -> None:
        item_id = client.say("draw a red ball")["item"]["id"]
        engine.hold = True
        main = client.ask({"type": "response.create"}, "response.created")["response"]["id"]
        reference = {"type": "item_reference", "id": item_id}
        side = client.ask(
            {"type": "response.create", "response": {"conversation": "none", "input": [reference]}}, "response.created"
        )["response"]["id"]
        client.send({"type": "response.cancel", "response_id": side})
        ended = client.until("response.done")["response"]
        assert (ended["id"], ended["status"]) == (side, "cancelled")
        engine.hold = False
        ended = client.until("response.done")["response"]
        assert (ended["id"], ended["status"]) == (main, "completed")


class TestItems:
    def test_spoken_items_are_retrieved_with_their_speech(self, client: WireClient) -> None:
        item_id = client.speak(12_000)["item"]["id"]
        retrieved = client.ask(
            {"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved"
        )
        assert retrieved["item"]["content"][0]["audio"] == speech(12_000)

    def test_speech_too_long_for_a_frame_stays_here(self, client: WireClient) -> None:
        client.ends_turns()
        item_id = client.speak(24_000 * 20)["item"]["id"]
        retrieved = client.ask(
            {"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved"
        )
        assert "audio" not in retrieved["item"]["content"][0]

    def test_a_deleted_item_is_not_read(self, client: WireClient, engine: ScriptedEngine) -> None:
        item_id = client.say("a red ball")["item"]["id"]
        client.ask({"type": "conversation.item.delete", "item_id": item_id}, "conversation.item.deleted")
        client.say("a blue ball")
        client.answer()
        assert engine.submitted[0].turns[-1].parts == (TextPart("a blue ball"),)

    def test_the_id_of_a_deleted_item_may_be_taken_again(self, client: WireClient, engine: ScriptedEngine) -> None:
        """By one that knows nothing of it: that a request could not be answered was said of the first."""
        engine.fails = "no memory"
        item = text_item("one") | {"id": "item_again"}
        client.ask({"type": "conversation.item.create", "item": item}, "conversation.item.done")
        assert client.answer()["status"] == "failed"
        engine.fails = None
        client.ask({"type": "conversation.item.delete", "item_id": "item_again"}, "conversation.item.deleted")
        item = text_item("two") | {"id": "item_again"}
        client.ask({"type": "conversation.item.create", "item": item}, "conversation.item.done")
        client.say("three")
        client.answer()
        assert engine.submitted[-1].turns[-1].parts == (TextPart("two"), TextPart("three"))

    def test_echoed_items_hold_no_media(self, client: WireClient) -> None:
        told = client.ask({"type": "conversation.item.create", "item": image_item(png())}, "conversation.item.added")
        assert told["item"]["content"] == [{"type": "input_image"}]


LONG = "x" * 2_000_000


class TestFramesStaySmall:
    """Many clients close the connection at a frame of 1 MiB, so nothing a client sends may come back as one."""

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "session.update", "session": {"type": "realtime", "instructions": LONG}},
            {"type": "session.update", "session": {"type": "realtime", "omni": {"partials": LONG}}},
            {"type": "conversation.item.create", "item": {**text_item("x"), "id": LONG}},
            {
                "type": "conversation.item.create",
                "item": {**text_item("x"), "content": [{"type": "input_text", "text": LONG[:30_000]}] * 60},
            },
            {"type": "conversation.item.retrieve", "item_id": LONG},
            {"type": "input_audio_buffer.clear", LONG: 1},
            {"type": "response.create", "response": {"metadata": {"a": LONG}}},
        ],
        ids=["instructions", "literal", "item id", "many parts", "unknown id", "unknown field", "metadata"],
    )
    def test_what_is_too_long_to_be_told_back(self, client: WireClient, event: Event) -> None:
        assert len(str(client.refused(event))) < 4_000

    def test_settings_do_not_pile_up(self, client: WireClient) -> None:
        half = "x" * 200_000
        client.ask({"type": "session.update", "session": {"type": "realtime", "instructions": half}}, "session.updated")
        more = {"type": "session.update", "session": {"type": "realtime", "tracing": {"group_id": half}}}
        assert client.refused(more)["param"] == "session"

    def test_an_item_that_is_no_message(self, client: WireClient) -> None:
        item = {"type": "function_call_output", "call_id": "c", "output": "4"}
        error = client.refused({"type": "conversation.item.create", "item": item})
        assert (error["code"], error["param"]) == ("item_create_unknown_call_id", "item.call_id")
