"""The published data format: a JSON object a line, with `messages` and the `audios` and `images` they tag."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.codecs.vocabulary import IMAGE_TAG, SPEECH_TAG

ROLES = ("system", "user", "assistant")
EXAMPLE = (
    '{"messages": [{"role": "user", "content": "Convert the speech to text.\\n<|audio|>"}, '
    '{"role": "assistant", "content": "good morning"}], "audios": ["clips/1.wav"]}'
)


class SampleError(ValueError):
    """A line that is no sample; says where it stands, what is wrong and what is allowed."""


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class Sample:
    """A conversation. audios, images: files, in the order of their tags. where: "file:line"."""

    messages: tuple[Message, ...]
    audios: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    where: str = ""


def read_samples(path: Path, media_root: Path | None = None) -> Iterator[Sample]:
    """Samples of a JSONL file, one at a time; empty lines are passed over.

    media_root: what paths inside are relative to, by default the file's own folder. Raises SampleError.
    """
    for line, where in read_lines(path):
        yield parse(line, media_root or path.parent, where)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that hold something, each with its place, "file:line". Raises SampleError."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if line.strip():
                    yield line, f"{path}:{number + 1}"
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(f"{path}: cannot be read ({error}); give a JSONL file in UTF-8") from error


def parse(line: str, media_root: Path, where: str) -> Sample:
    """One line of the file."""
    try:
        content = json.loads(line)
    except ValueError as error:
        raise SampleError(f"{where}: no JSON ({error}); a line looks like {EXAMPLE}") from error
    messages = _messages(content, where)
    sample = Sample(
        messages,
        _files(content, "audios", media_root, where),
        _files(content, "images", media_root, where),
        where,
    )
    for tag, name, files in ((SPEECH_TAG, "audios", sample.audios), (IMAGE_TAG, "images", sample.images)):
        tags = sum(message.content.count(tag) for message in messages)
        if tags != len(files):
            raise SampleError(f"{where}: {tags} tags {tag} but {len(files)} {name}; each tag takes one, in order")
    return sample


def _messages(content: Any, where: str) -> tuple[Message, ...]:
    listed = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise SampleError(f"{where}: no messages; a line looks like {EXAMPLE}")
    messages = []
    for entry in listed:
        role = entry.get("role") if isinstance(entry, dict) else None
        text = entry.get("content") if isinstance(entry, dict) else None
        if role not in ROLES or not isinstance(text, str):
            raise SampleError(
                f"{where}: a message is {str(entry)[:80]}; it takes a role, one of {', '.join(ROLES)}, and a content"
            )
        messages.append(Message(role, text))
    if not any(message.role == "assistant" for message in messages):
        raise SampleError(f"{where}: no message of the assistant, so there is nothing to learn")
    return tuple(messages)


def _files(content: dict[str, Any], name: str, root: Path, where: str) -> tuple[Path, ...]:
    listed = content.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(file, str) for file in listed):
        raise SampleError(f"{where}: {name} is {str(listed)[:80]}; a list of file names is needed")
    return tuple(root / file for file in listed)
