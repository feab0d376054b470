from omnisdk.protocol.events import ConversationItemCreate, ResponseCreate, SessionUpdate
from omnisdk.protocol.shape import allowed_at, unknown_field, value_at


def test_known_fields_are_fine() -> None:
    message = {"type": "session.update", "session": {"type": "realtime", "omni": {"seed": 3, "output": ["image"]}}}
    assert unknown_field(message, SessionUpdate) is None


def test_free_objects_may_hold_anything() -> None:
    message = {"type": "session.update", "session": {"tracing": {"x": {"at": "all"}}}}
    assert unknown_field(message, SessionUpdate) is None


def test_the_first_unknown_field_is_found_in_a_list() -> None:
    part = {"type": "input_image", "image_url": "", "colour": "red"}
    message = {
        "type": "conversation.item.create",
        "item": {"type": "message", "content": [{"type": "input_text", "text": ""}, part]},
    }
    assert unknown_field(message, ConversationItemCreate) == "item.content[1].colour"


def test_values_of_the_wrong_kind_are_left_to_decoding() -> None:
    assert unknown_field({"type": "session.update", "session": ["realtime"]}, SessionUpdate) is None


def test_allowed_values_of_literals_and_tags() -> None:
    assert allowed_at(SessionUpdate, "session.omni.partials") == ["'both'", "'off'", "'preview'", "'tokens'"]
    assert allowed_at(SessionUpdate, "session.omni.output[...]") == ["'image'", "'speech'", "'text'"]
    assert allowed_at(ConversationItemCreate, "item.type") == ["'message'", "'function_call'", "'function_call_output'"]
    assert "'input_audio'" in allowed_at(ConversationItemCreate, "item.content[0].type")


def test_no_values_where_they_cannot_be_counted() -> None:
    assert allowed_at(SessionUpdate, "session.instructions") == []
    assert allowed_at(SessionUpdate, "no.such.path") == []


def test_an_unknown_field_is_found_in_a_free_object_of_known_values() -> None:
    message = {"type": "session.update", "session": {"omni": {"generation": {"text": {}, "image": {"colour": 1}}}}}
    assert unknown_field(message, SessionUpdate) == "session.omni.generation.image.colour"


def test_allowed_ranges() -> None:
    assert allowed_at(SessionUpdate, "session.omni.steps") == ["1 to 100"]
    assert allowed_at(SessionUpdate, "session.omni.deadline_ms") == ["1 or more"]
    slot = "session.omni.generation[...]"
    assert allowed_at(SessionUpdate, f"{slot}.top_p") == ["more than 0, up to 1"]
    assert allowed_at(SessionUpdate, f"{slot}.temperature") == ["0 to 2"]
    assert allowed_at(SessionUpdate, f"{slot}.schedule") == ["'cosine'", "'linear'"]


def test_what_stands_at_a_path() -> None:
    message = {"item": {"content": [{"text": "a"}, {"text": "b"}]}}
    assert value_at(message, "item.content[1].text") == "b"
    assert value_at(message, "item.content[2].text") is None
    assert value_at(message, "item.content.text") is None
    assert value_at(message, "") is message


def test_what_several_types_allow_alike_is_told_once() -> None:
    (allowed,) = allowed_at(ResponseCreate, "response.omni.changes[0].at_step")
    assert allowed.startswith("0 to ")
