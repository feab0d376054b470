from typing import Any

from jsonschema import Draft7Validator

from omnisdk.protocol.documents.asyncapi import asyncapi_document
from omnisdk.protocol.documents.catalogue import events

DOCUMENT = asyncapi_document()


def at(pointer: str) -> Any:
    found: Any = DOCUMENT
    for step in pointer.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["$ref"]] if "$ref" in document else []
        return own + [found for value in document.values() for found in references(value)]
    return [found for value in document for found in references(value)] if isinstance(document, list) else []


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 100
    assert all(at(pointer) for pointer in found)


def test_each_event_goes_one_way() -> None:
    operations = DOCUMENT["operations"]
    told = {
        side: [message["$ref"].rpartition("/")[2] for message in operations[action]["messages"]]
        for side, action in (("client", "receive"), ("server", "send"))
    }
    for side, names in told.items():
        assert names == [event.name for event in events() if event.sender == side]


def test_examples_fit_their_payloads() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        validator = Draft7Validator({**message["payload"], "components": DOCUMENT["components"]})
        assert [error.message for error in validator.iter_errors(message["examples"][0]["payload"])] == []
