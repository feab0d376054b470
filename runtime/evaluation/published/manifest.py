"""Lists of items in one file: JSON lines, tables with tabs, plain text, the JSON of COCO captions."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.evaluation.published.errors import DataError

ID_NAMES = ("id", "utt_id", "question_id")
AUDIO_NAMES = ("audio", "audio_filepath", "audio_path", "path", "wav")
TEXT_NAMES = ("text", "sentence", "transcript", "normalized_text")
PROMPT_NAMES = ("prompt", "caption", "text")
SPEECH_TAG = "<|audio|>"

Fields = Mapping[str, Sequence[str]]
"""The wanted fields in the order of a table without a header, each with the names it goes by."""


def read_manifest(path: Path, fields: Fields) -> list[dict[str, str]]:
    """The items of a file: each wanted field, and "id", the item's own or its number from 0. Raises DataError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text ({error}); convert it") from error
    reader = READERS.get(path.suffix.lower(), _plain_text)
    items = []
    for number, (place, row) in enumerate(reader(path, text, fields)):
        item = {field: _field(row, names, f"{path}, {place}", field) for field, names in fields.items()}
        given = next((str(row[name]) for name in ID_NAMES if row.get(name) not in (None, "")), f"{number:05d}")
        items.append({"id": given, **item})
    if not items:
        raise DataError(f"{path}: there is nothing in it")
    _check_ids(path, [item["id"] for item in items])
    return items


def digest_of(path: Path) -> str:
    """Tells one data file from another of the same name."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _json_lines(path: Path, text: str, fields: Fields) -> Rows:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: is not JSON ({error})") from error
            yield f"line {number}", _unpacked(row) if isinstance(row, dict) else {}


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the published model's training format, {"messages": [...], "audios": [...]}, with plain fields."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return row
    turns = [message for message in messages if isinstance(message, dict)]
    said = {turn.get("role"): turn.get("content", "") for turn in turns}
    asked, answered = str(said.get("user", "")), str(said.get("assistant", ""))
    # A recording in the question is written down; otherwise the question's last lines are read aloud.
    text = answered if SPEECH_TAG in asked else asked.partition("\n")[2] or asked
    audios = row.get("audios") or [None]
    return {"audio": audios[0], "text": text.replace(SPEECH_TAG, "").strip(), **row}


def _table(path: Path, text: str, fields: Fields) -> Rows:
    rows = [row for row in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE) if any(row)]
    known = {name for names in fields.values() for name in names}
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if known.intersection(header):
        for number, row in enumerate(rows[1:], 2):
            yield f"row {number}", dict(zip(header, row, strict=False))
    else:
        for number, row in enumerate(rows, 1):
            yield f"row {number}", {names[0]: cell for names, cell in zip(fields.values(), row, strict=False)}


def _coco_captions(path: Path, text: str, fields: Fields) -> Rows:
    try:
        annotations = json.loads(text)["annotations"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f'{path}: has no "annotations" list ({error!r}); expected is the form of COCO captions, '
            '{"annotations": [{"id": 1, "image_id": 7, "caption": "a dog"}]}; for JSON lines name the file .jsonl'
        ) from error
    for number, annotation in enumerate(annotations):
        yield f"annotation {number}", annotation if isinstance(annotation, dict) else {}


def _plain_text(path: Path, text: str, fields: Fields) -> Rows:
    if len(fields) > 1:
        raise DataError(
            f"{path}: a {path.suffix or 'plain'} file has one field a line, but {' and '.join(fields)} are needed; "
            "give a .jsonl or .tsv file"
        )
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"line {number}", {names[0]: line.strip() for names in fields.values()}


READERS = {".jsonl": _json_lines, ".tsv": _table, ".json": _coco_captions}


def _field(row: Mapping[str, Any], names: Iterable[str], place: str, field: str) -> str:
    found = next((row[name] for name in names if row.get(name) not in (None, "")), None)
    if found is None:
        there = ", ".join(map(str, row)) or "nothing"
        raise DataError(f"{place}: no {field}; it was looked for as {', '.join(names)}; there is {there}")
    return str(found)


def _check_ids(path: Path, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for item_id in ids:
        if item_id in seen:
            raise DataError(f"{path}: the id {item_id!r} occurs twice; give each item its own, or none at all")
        seen.add(item_id)
