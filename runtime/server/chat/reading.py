"""Messages of a chat as items of a conversation, with what the model reads of them."""

import asyncio
from collections.abc import Sequence

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Message,
    OutputText,
)
from omnisdk.protocol.settings import FunctionTool
from runtime.engine.request import Part, TextPart
from runtime.server.chat.requests import (
    Assistant,
    AudioContent,
    ChatMessage,
    Developer,
    ImageContent,
    OfferedTool,
    RefusalContent,
    System,
    TextContent,
    Tool,
    ToolCall,
    User,
)
from runtime.server.one_answer import Said
from runtime.server.parts import called, read_picture
from runtime.server.recordings import read_recording
from runtime.server.responses import new_id


async def read_messages(messages: Sequence[ChatMessage], max_speech_s: float) -> list[Said]:
    """Raises ProtocolError."""
    said: list[Said] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        match message:
            case System() | Developer():
                said.append(_written("system", _text(message.content)))
            case User():
                said.append(await _user(message, path, max_speech_s))
            case Assistant():
                said += await _assistant(message, path)
            case Tool():
                said.append(_tool(message, path, said))
    return said


def offered_tools(tools: Sequence[OfferedTool]) -> list[FunctionTool]:
    return [
        FunctionTool(name=tool.name, description=tool.description, parameters=tool.parameters)
        for tool in (offered.function for offered in tools)
    ]


async def _user(message: User, path: str, max_speech_s: float) -> Said:
    if isinstance(message.content, str):
        return _written("user", message.content)
    content: list[ContentPart] = []
    parts: list[Part] = []
    for index, part in enumerate(message.content):
        item_part, read = await _user_part(part, f"{path}.content[{index}]", max_speech_s)
        content.append(item_part)
        parts.append(read)
    return Said(Message(role="user", content=content, id=new_id("item")), tuple(parts))


async def _user_part(
    part: TextContent | ImageContent | AudioContent, path: str, max_speech_s: float
) -> tuple[ContentPart, Part]:
    match part:
        case TextContent():
            return InputText(text=part.text), TextPart(part.text)
        case ImageContent():
            return InputImage(), await read_picture(part.image_url.url, f"{path}.image_url.url")
        case AudioContent():
            param = f"{path}.input_audio.data"
            recording = await asyncio.to_thread(read_recording, part.input_audio.data, max_speech_s, param)
            return InputAudio(), recording


async def _assistant(message: Assistant, path: str) -> list[Said]:
    """What was said and shown, then the calls."""
    words = _text(message.content or []) or message.refusal or str((message.audio or {}).get("transcript") or "")
    pictures = [
        await read_picture(image.image_url.url, f"{path}.images[{index}].image_url.url")
        for index, image in enumerate(message.images or [])
    ]
    said = []
    if words or pictures:
        item = Message(role="assistant", content=[OutputText(text=words)], id=new_id("item"))
        said.append(Said(item, ((TextPart(words),) if words else ()) + tuple(pictures)))
    return said + [_call(call) for call in message.tool_calls or []]


def _call(call: ToolCall) -> Said:
    name, arguments = call.function.name, call.function.arguments
    item = FunctionCall(name=name, arguments=arguments, call_id=call.id, id=new_id("item"))
    return Said(item, (TextPart(called(name, arguments)),))


def _tool(message: Tool, path: str, before: Sequence[Said]) -> Said:
    calls = [str(said.item.call_id) for said in before if isinstance(said.item, FunctionCall)]
    if message.tool_call_id not in calls:
        known = f"there are {', '.join(calls[-5:])}" if calls else "no function was called before"
        raise ProtocolError(
            f"an output for call {message.tool_call_id[:80]!r} came; {known}; give the id of a call in tool_calls",
            code=errors.UNKNOWN_CALL_ID,
            param=f"{path}.tool_call_id",
        )
    output = _text(message.content)
    return Said(FunctionCallOutput(call_id=message.tool_call_id, output=output, id=new_id("item")), (TextPart(output),))


def _written(role: str, text: str) -> Said:
    item = Message(role="system" if role == "system" else "user", content=[InputText(text=text)], id=new_id("item"))
    return Said(item, (TextPart(text),))


def _text(content: str | Sequence[TextContent | RefusalContent] | Sequence[TextContent]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text if isinstance(part, TextContent) else part.refusal for part in content)
