from typing import Any

from omnisdk.protocol import events
from omnisdk.protocol.items import FunctionCall, ImageRef, ItemOmni, Message
from omnisdk.protocol.response import Response
from runtime.server.chat.deltas import Deltas, Joined

PLACE: dict[str, Any] = {"response_id": "r", "item_id": "i", "output_index": 0}
PART = {**PLACE, "content_index": 0}
CALL = FunctionCall(name="f", arguments="", call_id="c")


def told(*sent: events.ServerEvent, schema_name: str | None = None) -> tuple[list[dict[str, Any]], Deltas]:
    deltas = Deltas(lambda _: b"png", 100, schema_name)
    return [delta for event in sent for delta in deltas.of(event)], deltas


def call(name: str = "f") -> list[events.ServerEvent]:
    item = FunctionCall(name=name, arguments="", call_id="c")
    return [
        events.ResponseOutputItemAdded(response_id="r", output_index=0, item=item),
        events.ResponseFunctionCallArgumentsDelta(**PLACE, call_id="c", delta="{}"),
    ]


def test_a_call() -> None:
    (first, second), deltas = told(*call())
    assert first["tool_calls"][0]["id"] == "c"
    assert second == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert deltas.finish_reason == "tool_calls"
    joined = Joined()
    joined.add(first)
    joined.add(second)
    assert joined.message(None)["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert joined.message(None)["content"] is None


def test_the_form_of_an_answer_is_no_call() -> None:
    (only,), deltas = told(*call("form"), schema_name="form")
    assert only == {"content": "{}"}
    assert deltas.finish_reason == "stop"


def test_speech_names_itself_once() -> None:
    (first, second, last), _ = told(
        events.ResponseOutputAudioTranscriptDelta(**PART, delta="hi"),
        events.ResponseOutputAudioDelta(**PART, delta=b"\x00\x01"),
        events.ResponseOutputAudioDone(**PART),
    )
    assert first == {"audio": {"id": "audio_i", "transcript": "hi"}}
    assert second == {"audio": {"data": "AAE="}}
    assert last == {"audio": {"expires_at": 3700}}
    joined = Joined()
    for delta in (first, second, last):
        joined.add(delta)
    assert joined.sound == [b"\x00\x01"]
    assert joined.message("QQ==")["audio"] == {
        "id": "audio_i",
        "transcript": "hi",
        "expires_at": 3700,
        "data": "QQ==",
    }


def test_pictures() -> None:
    ref = ImageRef(id="a", url="u", mime="image/png", width=1, height=1)
    item = Message(role="assistant", content=[], omni=ItemOmni(images=[ref]))
    (only,), _ = told(events.ResponseOutputItemDone(response_id="r", output_index=0, item=item))
    assert only["images"][0]["image_url"]["url"] == "data:image/png;base64,cG5n"


def test_an_answer_that_was_cut_short() -> None:
    ended = Response(id="r", status="incomplete", output=[], output_modalities=["text"])
    _, deltas = told(events.ResponseDone(response=ended))
    assert deltas.finish_reason == "length"
