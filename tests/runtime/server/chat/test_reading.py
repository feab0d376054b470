import base64
from typing import Any

import pytest

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import FunctionCall, FunctionCallOutput, Message
from runtime.engine.request import TextPart
from runtime.server.chat.reading import read_messages
from runtime.server.chat.requests import ChatRequest
from runtime.server.http_body import as_kind
from runtime.server.one_answer import Said

pytestmark = pytest.mark.anyio


async def read(*messages: dict[str, Any]) -> list[Said]:
    return await read_messages(as_kind({"messages": list(messages)}, ChatRequest).messages, 30)


async def test_calls_and_what_they_gave() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = await read(
        {"role": "system", "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}]},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "I will", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    )
    assert [type(one.item) for one in said] == [Message, Message, Message, FunctionCall, FunctionCallOutput]
    assert said[0].parts == (TextPart("be\nbrief"),)
    assert said[3].parts == (TextPart('{"name": "f", "arguments": {}}'),)
    assert said[4].parts == (TextPart("done"),)
    assert len({one.item.id for one in said}) == 5


async def test_what_was_said_aloud_counts_by_its_words() -> None:
    (said,) = await read({"role": "assistant", "content": None, "audio": {"id": "a", "transcript": "hello"}})
    assert said.parts == (TextPart("hello"),)


async def test_an_answer_that_was_nothing() -> None:
    assert await read({"role": "assistant", "content": ""}) == []


@pytest.mark.parametrize(
    ("part", "param", "told"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            "messages[0].content[0].image_url.url",
            "a picture is a data URL",
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            "messages[0].content[0].image_url.url",
            "PNG, JPEG or WebP",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}},
            "messages[0].content[0].input_audio.data",
            "base64",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}},
            "messages[0].content[0].input_audio.data",
            "is truncated: it ends inside its header",
        ),
    ],
)
async def test_media_that_cannot_be_read(part: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(ProtocolError, match=told) as refused:
        await read({"role": "user", "content": [part]})
    assert refused.value.param == param


async def test_an_output_of_no_call() -> None:
    with pytest.raises(ProtocolError, match="no function was called before") as refused:
        await read({"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "c9", "content": "done"})
    assert refused.value.param == "messages[1].tool_call_id"
