"""Media that come to a scripted runtime, each way that there is."""

import numpy as np
import pytest

from omnisdk.agent import Agent
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation
from omnisdk.errors import OmniError, ResponseFailed, ServerError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events
from omnisdk.protocol.picture import Picture
from omnisdk.testing import FakeSpeaker, ScriptedRuntime, ScriptError
from omnisdk.tools import tool
from tests.support.fake_devices import QUIET, TALK

pytestmark = pytest.mark.anyio
RED = Image(np.full((8, 6, 3), (255, 0, 0), np.uint8))
BLUE = Image(np.full((8, 6, 3), (0, 0, 255), np.uint8))
SAID = Speech.from_pcm(TALK, 24_000)
HUM = Speech.from_pcm((5000 * np.sin(np.arange(24_000) * 0.03)).astype(np.int16), 24_000)


def test_a_picture_and_a_recording_that_are_sent(scripted: ScriptedRuntime) -> None:
    scripted.expect("what is this?").expect_image(RED).say("red")
    scripted.hear("and this?", SAID).expect_image().say("blue")
    with Client(scripted.url) as omni, omni.session() as session:
        session.ask("what is this?", RED)
        session.show(BLUE)
        session.ask(SAID)
    assert scripted.shown == [RED, BLUE]
    assert [speech.duration_s for speech in scripted.spoken] == [SAID.duration_s]


def test_a_conversation_that_is_gone_on_with(scripted: ScriptedRuntime) -> None:
    scripted.hear("this", SAID).expect_image(RED).say("ok")
    with Client(scripted.url) as omni:
        assert omni.respond(Conversation().user(RED, SAID)).wait().text == "ok"
    assert (scripted.shown, len(scripted.spoken)) == ([RED], 1)


def test_a_picture_of_a_tool(scripted: ScriptedRuntime) -> None:
    @tool
    def photograph() -> Image:
        """Take a photograph."""
        return RED

    scripted.call("photograph").expect_image(RED).say("I see red")
    with Client(scripted.url) as omni:
        assert Agent(omni, tools=[photograph]).run_sync("look").text == "I see red"


async def test_a_turn_that_is_heard(scripted: ScriptedRuntime) -> None:
    scripted.hear("hello", SAID).say("hi")
    heard = Speech.from_pcm(np.concatenate([QUIET, TALK, QUIET]), 24_000)
    await Agent(AsyncClient(scripted.url)).live(heard, FakeSpeaker())
    (turn,) = scripted.spoken
    assert SAID.duration_s <= turn.duration_s < heard.duration_s  # cut out of the quiet around it


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (lambda script: script.expect_image(), r"expected the user to show a picture, came \['look'\], 1 spoken"),
        (lambda script: script.expect_image(RED), "expected the user to show Image 6x8, came"),
        (lambda script: script.hear("hm", HUM), r"to speak as recorded \('hm', 1.00 s; heard was 0.40 s, \d+% alike\)"),
    ],
)
def test_what_did_not_come_is_told(wanted, told: str) -> None:  # type: ignore[no-untyped-def]
    with ScriptedRuntime() as scripted, Client(scripted.url) as omni, omni.session() as session:
        wanted(scripted).say("x")
        session.send("look")
        session.send(SAID)
        with pytest.raises(ResponseFailed, match=told):
            session.respond().wait()
    with pytest.raises(ScriptError, match=told):
        scripted.verify()


def test_another_picture_is_told() -> None:
    with ScriptedRuntime() as scripted, Client(scripted.url) as omni:
        scripted.expect_image(RED).say("x")
        with pytest.raises(ResponseFailed, match=r"this Image 6x8 \(shown was Image 6x8, 170 of 255 apart\)"):
            omni.ask(BLUE)


def test_what_cannot_be_expected() -> None:
    with pytest.raises(OmniError, match=r"give words; pictures with expect_image"):
        ScriptedRuntime().expect(RED)  # type: ignore[arg-type]
    with pytest.raises(OmniError, match=r"give Image\(...\)"):
        ScriptedRuntime().expect_image("cat.png")  # type: ignore[arg-type]
    with pytest.raises(OmniError, match=r"give Speech\(...\)"):
        ScriptedRuntime().hear("x", "request.wav")  # type: ignore[arg-type]


async def test_a_picture_that_is_none_is_refused(scripted: ScriptedRuntime) -> None:
    scripted.say("ok")
    async with AsyncClient(scripted.url).session() as session:
        seen = events.OmniImageBufferAppend(image=Picture(b"\x89PNG and no more"))
        with pytest.raises(ServerError, match="picture"):
            await session._connection.receipt(seen, "never")
        assert (await session.ask("go on")).text == "ok"
    assert not scripted.shown


async def test_a_picture_forms(scripted: ScriptedRuntime) -> None:
    scripted.say("red", image=RED)
    async with AsyncClient(scripted.url).session() as session:
        await session.send("draw")
        response = session.respond()
        shares = [partial.image.unmasked_ratio async for partial in response if partial.image is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert response.image == RED
    assert len(response.frames) > 1
