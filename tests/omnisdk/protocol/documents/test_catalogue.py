from typing import get_args

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter

from omnisdk.protocol.documents.catalogue import described, events, objects
from omnisdk.protocol.events import ErrorDetails
from omnisdk.protocol.settings import SlotSettings


def names_known_to_openai() -> set[str]:
    """All values of `type` in the stock client's two unions."""
    schemas = [TypeAdapter(union).json_schema() for union in (RealtimeClientEvent, RealtimeServerEvent)]
    kinds = [
        kind["properties"]["type"]
        for schema in schemas
        for kind in schema["$defs"].values()
        if "type" in kind.get("properties", {})
    ]
    return {str(kind["const"]) for kind in kinds if "const" in kind}


def test_the_core_is_what_the_stock_client_knows() -> None:
    known = names_known_to_openai()
    assert {event.name for event in events() if not event.extension} <= known
    assert not {event.name for event in events() if event.extension} & known


def test_every_event_says_something() -> None:
    assert [event.name for event in events() if not event.described.says] == []


def test_a_docstring_is_told_field_by_field() -> None:
    slot = described(SlotSettings)
    assert slot.says == "The numbers of one slot of a recipe; null is the recipe's own."
    assert slot.fields_say["top_k"] == slot.fields_say["top_p"] == "0 and 1 are off."
    assert slot.fields_say["temperature"] == "0 takes the best token."
    assert described(ErrorDetails).fields_say == {"event_id": "the client's id of the event at fault."}


def test_objects_are_found_at_any_depth() -> None:
    names = [one.name for one in objects()]
    assert {"SessionSettings", "SlotSettings", "InputText", "ImageRef"} <= set(names)
    assert names == sorted(set(names))
    assert not {event.described.name for event in events()} & set(names)


def test_the_catalogue_holds_every_kind_of_item() -> None:
    from omnisdk.protocol import items

    assert {kind.__name__ for kind in get_args(items.ContentPart)} <= {one.name for one in objects()}
