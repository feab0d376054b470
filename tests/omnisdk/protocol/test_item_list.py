import pytest

from omnisdk.protocol import errors, limits
from omnisdk.protocol.items import (
    InputAudio,
    Message,
    OutputAudio,
    OutputText,
)
from omnisdk.protocol.session import SessionRules
from tests.support.session_rules import assert_refused, message, new_rules, pcm, words


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


def test_items_stand_where_they_were_put(rules: SessionRules) -> None:
    rules.add_item(words(item_id="b"))
    assert rules.add_item(words(item_id="d")).previous_item_id == "b"
    assert rules.add_item(words(item_id="c"), "b").previous_item_id == "b"
    assert rules.add_item(words(item_id="a"), "root").previous_item_id is None
    assert [item.id for item in rules.conversation.items] == ["a", "b", "c", "d"]


def test_an_id_twice(rules: SessionRules) -> None:
    rules.add_item(words(item_id="a"))
    assert_refused(lambda: rules.add_item(words(item_id="a")), errors.DUPLICATE_ITEM_ID, "item.id", "'a'")


def test_behind_an_item_that_is_not_there(rules: SessionRules) -> None:
    code = errors.INVALID_PREVIOUS_ITEM_ID
    assert_refused(lambda: rules.add_item(words(), "nix"), code, "previous_item_id", "'nix'")


def test_too_many_items(rules: SessionRules) -> None:
    for _ in range(limits.MAX_ITEMS):
        rules.add_item(words())
    assert_refused(lambda: rules.add_item(words()), errors.CONVERSATION_TOO_LARGE, None, "delete some")


def test_retrieve_and_delete(rules: SessionRules) -> None:
    rules.add_item(words(item_id="a"))
    assert rules.conversation.retrieve("a").id == "a"
    rules.conversation.delete("a")
    assert_refused(lambda: rules.conversation.retrieve("a"), errors.RETRIEVE_INVALID_ITEM_ID, "item_id", "0 items")
    assert_refused(lambda: rules.conversation.delete("a"), errors.DELETE_INVALID_ITEM_ID, "item_id", "'a'")


def test_truncate_keeps_what_was_heard(rules: SessionRules) -> None:
    spoken = message(OutputAudio(transcript="one two three four"), role="assistant", item_id="a")
    rules.add_item(spoken)
    rules.conversation.note_spoken("a", 1_000)
    assert rules.conversation.truncate("a", 0, 500) == 500
    assert rules.conversation.retrieve("a").content == [OutputAudio(transcript="one two")]  # type: ignore[union-attr]


@pytest.mark.parametrize(("end_ms", "heard_ms", "left"), [(0, 0, ""), (9_999, 1_000, "one two")])
def test_truncate_is_clamped(rules: SessionRules, end_ms: int, heard_ms: int, left: str) -> None:
    rules.conversation.place(message(OutputAudio(transcript=""), role="assistant", item_id="a"))
    rules.conversation.note_spoken("a", 400)
    rules.conversation.note_spoken("a", 600)
    assert rules.conversation.truncate("a", 0, end_ms) == heard_ms
    whole = message(OutputAudio(transcript="one two"), role="assistant", item_id="a")
    rules.conversation.settle(whole)  # the end of the answer comes after
    assert rules.conversation.retrieve("a").content == [OutputAudio(transcript=left)]  # type: ignore[union-attr]


def test_nothing_is_kept_of_deleted_answers_and_of_those_beside_the_conversation(rules: SessionRules) -> None:
    rules.add_item(message(OutputAudio(transcript="one"), role="assistant", item_id="a"))
    rules.conversation.note_spoken("a", 400)
    rules.conversation.note_spoken("beside", 400)
    rules.conversation.truncate("a", 0, 100)
    rules.conversation.delete("a")
    assert not rules.conversation._spoken_ms
    assert not rules.conversation._heard_ms


def test_truncate_of_what_was_not_spoken(rules: SessionRules) -> None:
    rules.add_item(words(item_id="a"))
    code = errors.TRUNCATE_INVALID_ITEM_ID
    assert_refused(lambda: rules.conversation.truncate("a", 0, 0), code, "item_id", "delete the item instead")
    assert_refused(lambda: rules.conversation.truncate("b", 0, 0), code, "item_id", "no item 'b'")


def test_a_transcript_is_noted(rules: SessionRules) -> None:
    rules.append_audio(pcm(1))
    item = rules.commit_audio().placed.item
    rules.conversation.note_transcript(str(item.id), 0, "a red ball")
    assert rules.conversation.retrieve(str(item.id)).content == [InputAudio(transcript="a red ball")]


def test_an_answer_deleted_while_it_is_made_stays_deleted(rules: SessionRules) -> None:
    rules.conversation.place(message(role="assistant", item_id="item_a"))
    rules.conversation.delete("item_a")
    rules.conversation.settle(Message(role="assistant", content=[OutputText(text="x")], id="item_a"))
    assert rules.conversation.items == []
