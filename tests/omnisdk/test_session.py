import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from omnisdk.conversation import Conversation, Text
from omnisdk.errors import (
    ConnectFailed,
    OmniError,
    ResponseFailed,
    ServerError,
    SettingsError,
)
from omnisdk.media import Image, Speech
from omnisdk.session import AsyncSession
from omnisdk.settings import GenerationSettings, SlotSettings
from tests.support.fake_runtime import HEARD, REPLY, FakeRuntime, Script

pytestmark = pytest.mark.anyio
SPEECH = Speech((np.sin(np.arange(12000) / 9) * 9000).astype(np.int16), sample_rate_hz=16000)
PICTURE = Image(np.zeros((8, 8, 3), np.uint8))


@asynccontextmanager
async def live(script: Script | None = None, **settings: object) -> AsyncIterator[tuple[AsyncSession, FakeRuntime]]:
    wanted = GenerationSettings(**settings)  # type: ignore[arg-type]
    async with FakeRuntime(script or Script()) as fake, AsyncSession(fake.url, settings=wanted) as session:
        yield session, fake


class TestOpening:
    async def test_settings_reach_the_server(self) -> None:
        async with live(output=["image"], steps=9) as (session, fake):
            update = fake.received_of("session.update")[0]["session"]
            assert update["omni"]["output"] == ["image"]
            assert update["omni"]["steps"] == 9
            assert update["output_modalities"] == ["text"]
            assert update["audio"]["input"]["turn_detection"] is None
            assert session.capabilities is not None
            assert session.capabilities.recipes == ["speech_to_image", "text_to_image"]

    async def test_the_numbers_of_slots_reach_the_server(self) -> None:
        slots = {"image": SlotSettings(steps=24, temperature=0.7)}
        async with live(recipe="text_to_image", slots=slots) as (session, fake):
            omni = fake.received_of("session.update")[0]["session"]["omni"]
            assert omni["recipe"] == "text_to_image"
            assert omni["generation"] == {"image": {"steps": 24, "temperature": 0.7}}
            await session.ask("a cat", recipe="captioning", slots={"text": {"length": 8}})
            omni = fake.received_of("response.create")[0]["response"]["omni"]
            assert omni == {"recipe": "captioning", "generation": {"text": {"length": 8}}}

    async def test_speech_is_asked_for_in_both_ways(self) -> None:
        async with live(output=["speech", "text"]) as (_session, fake):
            update = fake.received_of("session.update")[0]["session"]
            assert (update["omni"]["output"], update["output_modalities"]) == (["speech", "text"], ["audio"])

    async def test_a_conversation_is_told_to_the_server(self) -> None:
        chat = Conversation(system="Be brief.").user("hello").assistant("hi").user("what is this?", PICTURE)
        async with FakeRuntime() as fake, AsyncSession(fake.url, conversation=chat) as session:
            assert fake.received_of("session.update")[0]["session"]["instructions"] == "Be brief."
            told = [event["item"] for event in fake.received_of("conversation.item.create")]
            assert [item["role"] for item in told] == ["user", "assistant", "user"]
            assert told[1]["content"] == [{"type": "output_text", "text": "hi"}]
            assert [part["type"] for part in told[2]["content"]] == ["input_text", "input_image"]
            assert Image(told[2]["content"][1]["image_url"]) == PICTURE
            assert session.conversation == chat

    async def test_pictures_of_the_assistant_are_told_as_shown_by_the_user(self) -> None:
        chat = (
            Conversation().user("draw").assistant("here", PICTURE).user("again").assistant(PICTURE).user("what is it?")
        )
        async with FakeRuntime() as fake, AsyncSession(fake.url, conversation=chat) as session:
            told = [event["item"] for event in fake.received_of("conversation.item.create")]
            kinds = [(item["role"], [part["type"] for part in item["content"]]) for item in told]
            shown, said = ("user", ["input_image"]), ("user", ["input_text"])
            assert kinds == [said, shown, ("assistant", ["output_text"]), said, shown, said]
            assert session.conversation == chat

    async def test_spoken_words_of_the_assistant_are_told_as_text(self) -> None:
        chat = Conversation().user("hello").assistant(SPEECH.with_transcript("hi")).user("again").assistant(SPEECH)
        async with FakeRuntime() as fake, AsyncSession(fake.url, conversation=chat) as session:
            told = [event["item"]["content"] for event in fake.received_of("conversation.item.create")]
            assert told[1] == [{"type": "output_text", "text": "hi"}]
            assert len(told) == 3
            assert session.conversation.items[1].parts == (SPEECH.with_transcript("hi"),)

    async def test_the_key_is_sent_and_a_wrong_one_is_refused(self) -> None:
        async with FakeRuntime(Script(api_key="right")) as fake:
            async with AsyncSession(fake.url, api_key="right"):
                pass
            with pytest.raises(
                ConnectFailed, match=r"refused the session \(HTTP 401: wrong key\); give the right api_key"
            ):
                async with AsyncSession(fake.url, api_key="wrong"):
                    pass

    async def test_nothing_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectFailed, match=r"no server at ws://127.0.0.1:.*start one with"):
                async with AsyncSession(f"ws://127.0.0.1:{taken.getsockname()[1]}"):
                    pass

    async def test_a_server_of_another_kind(self) -> None:
        async with FakeRuntime(Script(subprotocol="chat")) as fake:
            with pytest.raises(ConnectFailed, match=r"does not speak omni.v1"):
                async with AsyncSession(fake.url):
                    pass

    async def test_a_refused_session_update(self) -> None:
        with pytest.raises(ServerError, match=r"session.update is refused here"):
            async with live(Script(refuse="session.update")):
                pass

    async def test_a_server_that_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("omnisdk.session.CONNECT_TIMEOUT_S", 0.2)
        with pytest.raises(ConnectFailed, match="did not open a session"):
            async with live(Script(mute="session.update")):
                pass


class TestAsking:
    async def test_a_written_turn(self) -> None:
        async with live() as (session, _fake):
            answer = await session.ask("two red apples on blue")
            assert answer.text == REPLY
            assert answer.transcript is None
            assert session.last_response is answer

    async def test_several_parts_are_one_item(self) -> None:
        async with live() as (session, fake):
            answer = await session.ask(SPEECH, PICTURE, "and this?")
            content = fake.received_of("conversation.item.create")[0]["item"]["content"]
            assert [part["type"] for part in content] == ["input_audio", "input_image", "input_text"]
            assert answer.image is None
            assert answer.transcript == HEARD
            said = session.conversation.items[0].parts
            assert [type(part) for part in said] == [Speech, Image, Text]

    async def test_settings_of_one_answer(self) -> None:
        async with live(steps=3) as (session, fake):
            answer = await session.ask("a cat", steps=7, seed=5)
            assert (answer.steps, answer.seed, len(answer.unmasked_per_step)) == (7, 5, 7)
            assert fake.received_of("response.create")[0]["response"]["omni"] == {"steps": 7, "seed": 5}
            assert (await session.ask("a cat")).steps == 3

    async def test_a_wrong_setting_is_told_before_anything_is_sent(self) -> None:
        async with live() as (session, fake):
            with pytest.raises(SettingsError, match="steps"):
                await session.ask("a cat", steps=0)
            assert not fake.received_of("conversation.item.create")

    async def test_what_cannot_be_said(self) -> None:
        async with live() as (session, _fake):
            with pytest.raises(OmniError, match="int cannot be said"):
                await session.send(5)  # type: ignore[arg-type]
            with pytest.raises(OmniError, match="at least one part"):
                await session.send()

    @pytest.mark.parametrize("named", [True, False])
    @pytest.mark.parametrize("kind", ["conversation.item.create", "input_audio_buffer.commit", "response.create"])
    async def test_a_refused_event_reaches_whoever_awaits(self, kind: str, named: bool) -> None:
        async with live(Script(refuse=kind, name_refused_event=named)) as (session, _fake):
            with pytest.raises(ServerError, match=f"{kind} is refused here") as caught:
                await session.ask(SPEECH if "audio" in kind else "a cat")
            assert caught.value.code == "invalid_value"
            assert caught.value.event_id is not None
            assert "create" in kind or len(session.conversation) == 0

    async def test_a_failed_answer(self) -> None:
        async with live(Script(fail_at_step=2)) as (session, _fake):
            with pytest.raises(ResponseFailed, match="the canvas does not fit") as caught:
                await session.ask("a cat")
            assert caught.value.code == "out_of_memory"
            assert session.last_response is not None
            assert session.last_response.status == "failed"

    async def test_several_answers_in_one_session(self) -> None:
        async with live() as (session, _fake):
            for _ in range(3):
                assert (await session.ask("a cat")).status == "completed"
            assert len(session.conversation) == 6
