import pytest

from omnisdk.errors import ServerError
from omnisdk.protocol import events, items
from omnisdk.receipts import Receipts, answers

pytestmark = pytest.mark.anyio
DELETED = events.ConversationItemDeleted(item_id="item_a")
ADDED = events.ConversationItemAdded(item=items.Message(id="item_a", role="user", content=[]))
REFUSED = ServerError("no")


def test_what_answers_what() -> None:
    assert answers(ADDED, "item_a")
    assert answers(DELETED, "conversation.item.deleted")
    assert not answers(DELETED, "item_a")


async def test_the_first_that_waits_for_it_gets_it() -> None:
    receipts = Receipts()
    first, second = (receipts.expect(event_id, "conversation.item.deleted") for event_id in ("a", "b"))
    assert receipts.settle(ADDED) is None
    assert receipts.settle(DELETED) == "a"
    receipts.close(first)
    assert receipts.settle(DELETED) == "b"
    assert await second.answer is DELETED


@pytest.mark.parametrize(("named", "who"), [("b", 1), (None, 0)])
async def test_an_error_goes_to_whom_it_names_or_to_the_oldest(named: str | None, who: int) -> None:
    receipts = Receipts()
    waiting = [receipts.expect(event_id, "session.updated") for event_id in ("a", "b")]
    assert receipts.refused(named, REFUSED)
    assert [receipt.answer.done() for receipt in waiting] == [index == who for index in (0, 1)]
    with pytest.raises(ServerError):
        await waiting[who].answer
    assert not receipts.refused("c", REFUSED)


async def test_what_is_sent_again_may_still_be_answered() -> None:
    receipts = Receipts()
    gone, unsure = (receipts.expect(event_id, "session.updated") for event_id in ("a", "b"))
    receipts.fail(REFUSED, but={"b"})
    assert isinstance(gone.answer.exception(), ServerError)
    assert not unsure.answer.done()
