import pytest

from omnisdk.protocol import events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputText, Message
from omnisdk.protocol.settings import OmniSettings, ResponseSettings
from runtime.engine.request import TextPart
from runtime.server.accounts import Accounts
from runtime.server.keys import NO_LIMITS, Limits
from runtime.server.one_answer import OneAnswer, Said
from tests.support.live_server import MODEL
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio
SAID = Said(Message(role="user", content=[InputText(text="a ball")], id="i"), (TextPart("a ball"),))


def asked(engine: ScriptedEngine, limits: Limits = NO_LIMITS) -> OneAnswer:
    return OneAnswer(Accounts(engine, (), limits).everybody, MODEL, [SAID])


async def test_events_end_with_the_response() -> None:
    answer = asked(ScriptedEngine())
    await answer.begin(ResponseSettings())
    told = [event async for event in answer.events()]
    assert isinstance(told[0], events.ResponseCreated)
    assert isinstance(told[-1], events.ResponseDone)
    item = next(event.item for event in told if isinstance(event, events.ResponseOutputItemDone))
    assert isinstance(item, Message)
    assert item.omni is not None
    assert (answer.picture(item.omni.images[0].id) or b"").startswith(b"\x89PNG")
    answer.close()


async def test_one_that_fails() -> None:
    answer = asked(ScriptedEngine(fails="out of memory"))
    await answer.begin(ResponseSettings())
    with pytest.raises(ProtocolError, match="out of memory") as failed:
        _ = [event async for event in answer.events()]
    assert failed.value.kind == "server_error"


async def test_what_is_wrong_is_told_about_the_request() -> None:
    with pytest.raises(ProtocolError) as refused:
        await asked(ScriptedEngine()).begin(ResponseSettings(omni=OmniSettings(recipe="nothing")))
    assert refused.value.param == "omni.recipe"


async def test_what_is_closed_is_no_longer_made() -> None:
    engine = ScriptedEngine(hold=True)
    answer = asked(engine)
    await answer.begin(ResponseSettings())
    answer.close()
    assert engine.cancelled == [engine.submitted[0].request_id]
