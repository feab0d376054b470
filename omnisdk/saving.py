"""A conversation as a folder, `conversation.json` and its speech and pictures beside it, or as one JSON file."""

from __future__ import annotations

import io
import json
import secrets
import shutil
import tempfile
import wave
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np

from omnisdk.conversation import Conversation, Item, ItemStatus, Part, Role, Text, ToolCall, ToolResult
from omnisdk.errors import MediaError, OmniError
from omnisdk.media import Image, Speech
from omnisdk.media.io import path_of

FORMAT = "omni.conversation.v1"
INDEX = "conversation.json"


class Store(Protocol):
    """Where speech and pictures are kept."""

    def put(self, name: str, content: bytes) -> str:
        """Keep it; what it is called in the index."""

    def get(self, called: str) -> bytes:
        """What is called like that. Raises MediaError."""


class Beside(NamedTuple):
    """In files of a folder, and nothing outside of it."""

    folder: Path

    def put(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    def get(self, called: str) -> bytes:
        path = self.folder / Path(called).name
        if not path.is_file():
            raise MediaError(f"{path} is missing; restore it beside {INDEX}")
        return path.read_bytes()


class Inside:
    """In the index itself."""

    def put(self, name: str, content: bytes) -> str:
        kind = "audio/wav" if name.endswith(".wav") else "image/png"
        return f"data:{kind};base64,{b64encode(content).decode()}"

    def get(self, called: str) -> bytes:
        return b64decode(called.partition(",")[2], validate=True)


def save(conversation: Conversation, path: str | Path) -> Path:
    """Write it whole or not at all, what stood there is replaced: a folder, or one file of a name that ends in .json.

    Raises OmniError where something else stands, and where nothing can be written.
    """
    place = path_of(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return _save_file(conversation, place) if place.suffix == ".json" else _save_folder(conversation, place)
    except OSError as error:
        raise OmniError(f"{place} cannot be written ({error}); choose a place that can be") from None


def load(path: str | Path) -> Conversation:
    """Raises OmniError for what is no conversation, MediaError for media that are missing or damaged."""
    place = path_of(path)
    index = place / INDEX if place.is_dir() else place
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise OmniError(f"{place} was saved as {told['format']!r}; this version reads {FORMAT}")
        store = Beside(place) if place.is_dir() else Inside()
        return Conversation(told["system"], tuple(_loaded(item, store) for item in told["items"]))
    except OSError as error:
        raise OmniError(f"{place} cannot be read ({error}); give what Conversation.save wrote") from None
    except UnicodeDecodeError:
        raise OmniError(f"{place} is no saved conversation; give what Conversation.save wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OmniError(f"{index} is damaged ({error!r}); restore it, or save the conversation again") from None


def _save_folder(conversation: Conversation, folder: Path) -> Path:
    if folder.exists() and not (folder / INDEX).is_file():
        raise OmniError(f"{folder} is there already and holds no conversation; choose another place")
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (made / INDEX).write_text(_index(conversation, Beside(made)), encoding="utf-8")
        made.chmod(0o755)
        _replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _save_file(conversation: Conversation, file: Path) -> Path:
    if file.exists():
        load(file)  # it is one of ours
    made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        made.write_text(_index(conversation, Inside()), encoding="utf-8")
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)
    return file


def _index(conversation: Conversation, store: Store) -> str:
    items = [_item(item, index, store) for index, item in enumerate(conversation.items)]
    told = {"format": FORMAT, "system": conversation.system, "items": items}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _replace(made: Path, folder: Path) -> None:
    """The old one is moved away first: a folder with files in it cannot be renamed over."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        folder.replace(old / "old")
        made.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.replace(folder)


def _item(item: Item, index: int, store: Store) -> dict[str, Any]:
    parts = [_part(part, f"{index:04d}-{number}", store) for number, part in enumerate(item.parts)]
    return {"id": item.id, "role": item.role, "status": item.status, "parts": parts}


def _part(part: Part, name: str, store: Store) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Speech():
            return {"speech": store.put(f"{name}.wav", part.wav), "transcript": part.transcript}
        case Image():
            return {"image": store.put(f"{name}.png", part.png)}
        case ToolCall():
            return {"tool_call": {"name": part.name, "arguments": part.arguments, "call_id": part.call_id}}
        case ToolResult():
            return {"tool_result": {"call_id": part.call_id, "output": part.output}}


def _loaded(told: dict[str, Any], store: Store) -> Item:
    parts = tuple(_loaded_part(part, store) for part in told["parts"])
    if told["role"] not in get_args(Role) or told["status"] not in get_args(ItemStatus):
        raise ValueError(f"role {told['role']!r} and status {told['status']!r}")
    return Item(_text(told["id"]), told["role"], parts, told["status"])


def _loaded_part(told: dict[str, Any], store: Store) -> Part:
    if "text" in told:
        return Text(_text(told["text"]))
    if "speech" in told:
        return _speech(store.get(told["speech"]), told["transcript"])
    if "image" in told:
        return Image(store.get(told["image"]))
    if "tool_call" in told:
        return ToolCall(**told["tool_call"])
    return ToolResult(**told["tool_result"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where text is expected")
    return value


def _speech(content: bytes, transcript: str | None) -> Speech:
    """What a model said may be longer than what it may be told, and what was heard of it as short as nothing."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
            whole, rate_hz = len(pcm) == file.getnframes() * file.getnchannels(), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise MediaError(f"speech of the conversation is damaged ({error}); restore it") from None
    if not whole:
        raise MediaError(f"speech of the conversation is damaged (it ends after {len(pcm)} samples); restore it")
    return Speech.said(pcm, rate_hz, transcript)
