import numpy as np

from omnisdk.conversation import Conversation, Item, ToolCall
from omnisdk.media import Image, Speech
from omnisdk.protocol import events
from omnisdk.protocol.sent_log import SentLog
from omnisdk.retelling import retold, told_again

PICTURE = Image(np.zeros((4, 4, 3), np.uint8))


def test_pictures_of_the_assistant_stand_before_their_words() -> None:
    item = Item("a", "assistant", (*Conversation().user("here").items[0].parts, PICTURE))
    shown, said = retold(item)
    assert (shown.role, shown.parts, said) == ("user", (PICTURE,), item)
    assert shown.id != item.id


def test_sound_without_words_is_not_told_and_calls_are() -> None:
    silent = Item("a", "assistant", (Speech.from_pcm(np.zeros(2400, np.int16), 24_000),))
    call = Item("b", "assistant", (ToolCall("f", "{}", "call_1"),))
    assert (retold(silent), retold(call)) == ([], [call])


def test_what_is_sent_again_anyway_is_left_out() -> None:
    chat = Conversation().user("one").user("two")
    sent = SentLog()
    first, second = (event for event, _ in told_again(chat, sent))
    assert isinstance(first, events.ConversationItemCreate)
    second.event_id = "client_event_7"
    sent.note(second)
    assert [told for _, told in told_again(chat, sent)] == [chat.items[0].id]
