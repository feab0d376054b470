import json
from typing import Any

import pytest
from jsonschema import Draft7Validator

from omnisdk.protocol import wire
from omnisdk.protocol.documents.catalogue import Event, events
from omnisdk.protocol.documents.examples import bare_example, full_example
from omnisdk.protocol.documents.schemas import schema_document

DOCUMENT = schema_document()


def problems(definition: str, frame: Any) -> list[str]:
    validator = Draft7Validator({"$ref": f"#/definitions/{definition}", "definitions": DOCUMENT["definitions"]})
    return [error.message for error in validator.iter_errors(frame)]


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(DOCUMENT)


@pytest.mark.parametrize("event", events(), ids=lambda event: event.name)
def test_examples_fit_their_schema(event: Event) -> None:
    for example in (full_example(event.described.kind.cls), bare_example(event.described.kind.cls)):
        frame = json.loads(wire.encode(example))
        assert problems(event.described.name, frame) == []
        assert problems(event.described.name, {**frame, "type": "another"})
        for field in event.described.kind.fields:
            if field.required:
                assert problems(event.described.name, {k: v for k, v in frame.items() if k != field.encode_name})


def test_any_event_of_a_side_fits_its_union() -> None:
    assert problems("ClientEvent", {"type": "response.cancel"}) == []
    assert problems("ClientEvent", {"type": "response.done"})


@pytest.mark.parametrize("url", ["https://example.org/cat.png", "data:image/gif;base64,AA=="])
def test_pictures_are_data_urls(url: str) -> None:
    part = {"type": "input_image", "image_url": url}
    assert problems("InputImage", part)
    assert problems("InputImage", {**part, "image_url": "data:image/png;base64,AA=="}) == []


def test_ranges_and_words_stand_where_they_belong() -> None:
    steps = DOCUMENT["definitions"]["SlotSettings"]["properties"]["steps"]
    assert steps["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1024}
    assert steps["description"].startswith("denoise steps")
    assert "steps:" not in DOCUMENT["definitions"]["SlotSettings"]["description"]
