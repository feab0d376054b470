import numpy as np

from omnisdk.answer_parts import AnswerParts
from omnisdk.conversation import Text, ToolCall
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, items
from omnisdk.protocol.response import Response

PLACE = {"response_id": "r", "item_id": "i", "output_index": 0}
RED = Image(np.full((4, 4, 3), (255, 0, 0), np.uint8))
REF = items.ImageRef(id="img", url="/v1/assets/img", mime="image/png", width=4, height=4)


def ended(*output: items.Item) -> Response:
    return Response(id="r", status="completed", output=list(output), output_modalities=["text"])


def test_they_are_gathered_into_an_item() -> None:
    parts = AnswerParts(str)
    parts.take(events.OmniImageDone(**PLACE, image=REF, b64=RED.png))
    parts.end(ended(items.Message(role="assistant", id="i", content=[items.OutputText(text="red")])))
    assert parts.item("r", "completed").parts == (Text("red"), RED)
    assert parts.item("r", "completed").id == "i"


def test_sound_has_its_words_and_calls_are_found() -> None:
    parts = AnswerParts(str)
    for _ in range(2):
        parts.take(events.ResponseOutputAudioDelta(**PLACE, content_index=0, delta=b"\1\0" * 50))
    said = items.Message(role="assistant", id="i", content=[items.OutputAudio(transcript="hi")])
    parts.end(ended(said, items.FunctionCall(name="f", arguments="{}", call_id="c")))
    assert parts.speech == Speech.said(np.ones(100, np.int16), 24_000, "hi")
    assert parts.tool_calls == (ToolCall("f", "{}", "c"),)


def test_what_came_is_forgotten_when_it_is_made_anew() -> None:
    parts = AnswerParts(str)
    parts.take(events.OmniImageDone(**PLACE, image=REF, b64=RED.png))
    parts.take(events.ResponseOutputAudioDelta(**PLACE, content_index=0, delta=b"\1\0"))
    parts.begin_anew()
    parts.end(ended())
    assert (parts.images, parts.speech, parts.item("r", "incomplete").id) == ([], None, "item_of_r")
