"""Writes what is made from the structs of the protocol; `make protocol`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from omnisdk.protocol import wire
from omnisdk.protocol.documents.asyncapi import asyncapi_document
from omnisdk.protocol.documents.catalogue import events
from omnisdk.protocol.documents.examples import bare_example, full_example
from omnisdk.protocol.documents.page import page
from omnisdk.protocol.documents.schemas import schema_document

DOCS = Path("docs/protocol")
GOLDEN = Path("tests/golden/wire")


def files() -> dict[Path, str]:
    """What is to stand in each file, by its path in the project."""
    return {
        DOCS / "events.md": page(),
        DOCS / "schemas.json": _json(schema_document()),
        DOCS / "asyncapi.json": _json(asyncapi_document()),
    } | {GOLDEN / f"{event.name}.txt": golden_of(event.described.kind.cls) for event in events()}


def golden_of(kind: type) -> str:
    """The frames of an event: with all fields, with the required alone; each as JSON and as MessagePack in hex."""
    return "".join(_frames(kind))


def _frames(kind: type) -> Iterator[str]:
    for example in (full_example(kind), bare_example(kind)):
        yield f"{wire.encode(example)}\n{wire.pack(example).hex()}\n"


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write(project: Path) -> None:
    """Write all of them, and take away frames of events that are no more."""
    told = files()
    for path, text in told.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    for path in (project / GOLDEN).glob("*.txt"):
        if GOLDEN / path.name not in told:
            path.unlink()


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
