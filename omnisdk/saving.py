"""A conversation as a folder: `conversation.json`, and its speech and pictures beside it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, get_args

from omnisdk.conversation import Conversation, Item, ItemStatus, Part, Role, Text, ToolCall, ToolResult
from omnisdk.errors import MediaError, OmniError
from omnisdk.media import Image, Speech
from omnisdk.media.io import path_of

FORMAT = "omni.conversation.v1"
INDEX = "conversation.json"


def save(conversation: Conversation, path: str | Path) -> Path:
    """Write it whole or not at all; a conversation that stood there is replaced. Raises OmniError."""
    folder = path_of(path)
    if folder.exists() and not (folder / INDEX).is_file():
        raise OmniError(f"{folder} is there already and holds no conversation; choose another place")
    try:
        return _saved(conversation, folder)
    except OSError as error:
        raise OmniError(f"{folder} cannot be written ({error}); choose a folder that can be") from None


def _saved(conversation: Conversation, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        items = [_item(item, index, made) for index, item in enumerate(conversation.items)]
        told = {"format": FORMAT, "system": conversation.system, "items": items}
        (made / INDEX).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        made.chmod(0o755)
        _replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def load(path: str | Path) -> Conversation:
    """Raises OmniError for what is no conversation, MediaError for media that are missing or damaged."""
    folder = path_of(path)
    try:
        told = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise OmniError(f"{folder} was saved as {told['format']!r}; this version reads {FORMAT}")
        items = tuple(_loaded(item, folder) for item in told["items"])
        return Conversation(told["system"], items)
    except OSError as error:
        raise OmniError(f"{folder} cannot be read ({error}); give the folder that Conversation.save wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OmniError(
            f"{folder / INDEX} is damaged ({error!r}); restore it, or save the conversation again"
        ) from None


def _replace(made: Path, folder: Path) -> None:
    """The old one is moved away first: a folder with files in it cannot be renamed over."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        folder.replace(old / "old")
        made.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.replace(folder)


def _item(item: Item, index: int, folder: Path) -> dict[str, Any]:
    parts = [_part(part, folder / f"{index:04d}-{number}") for number, part in enumerate(item.parts)]
    return {"id": item.id, "role": item.role, "status": item.status, "parts": parts}


def _part(part: Part, stem: Path) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Speech():
            return {"speech": part.save(stem.with_suffix(".wav")).name, "transcript": part.transcript}
        case Image():
            return {"image": part.save(stem.with_suffix(".png")).name}
        case ToolCall():
            return {"tool_call": {"name": part.name, "arguments": part.arguments, "call_id": part.call_id}}
        case ToolResult():
            return {"tool_result": {"call_id": part.call_id, "output": part.output}}


def _loaded(told: dict[str, Any], folder: Path) -> Item:
    parts = tuple(_loaded_part(part, folder) for part in told["parts"])
    if told["role"] not in get_args(Role) or told["status"] not in get_args(ItemStatus):
        raise ValueError(f"role {told['role']!r} and status {told['status']!r}")
    return Item(_text(told["id"]), told["role"], parts, told["status"])


def _loaded_part(told: dict[str, Any], folder: Path) -> Part:
    if "text" in told:
        return Text(_text(told["text"]))
    if "speech" in told:
        speech = Speech(_inside(folder, told["speech"]))
        return speech if told["transcript"] is None else speech.with_transcript(told["transcript"])
    if "image" in told:
        return Image(_inside(folder, told["image"]))
    if "tool_call" in told:
        return ToolCall(**told["tool_call"])
    return ToolResult(**told["tool_result"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where text is expected")
    return value


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder, and nothing outside of it."""
    path = folder / Path(name).name
    if not path.is_file():
        raise MediaError(f"{path} is missing; restore it beside {INDEX}")
    return path
