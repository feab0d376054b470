import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omnisdk import local_runtime
from omnisdk.canvas import Canvas
from omnisdk.client import AsyncClient, Client
from omnisdk.connecting import Wire
from omnisdk.conversation import Conversation, Text
from omnisdk.errors import ConnectFailed, LocalRuntimeError, MediaError, OmniError, ResponseFailed, ServerError
from omnisdk.media import Image, Speech
from omnisdk.settings import SlotSettings
from runtime.engine.denoising import DenoisingEngine
from runtime.executors.in_process import InProcessExecutor
from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support import fake_runtime
from tests.support.fake_runtime import HEARD, REPLY, FakeRuntime, Script
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model

SPEECH = Speech((np.sin(np.arange(12000) / 9) * 9000).astype(np.int16), sample_rate_hz=16000)
FAKE_COMMAND = [sys.executable, str(Path(fake_runtime.__file__)), "serve"]


@pytest.fixture
def fake_url() -> Iterator[str]:
    """A fake in a thread with its own event loop, as a sync program sees a server."""
    started, ended, url = threading.Event(), asyncio.Event(), ""
    loop = asyncio.new_event_loop()

    async def play() -> None:
        nonlocal url
        async with FakeRuntime(Script(steps=4)) as fake:
            url = fake.url
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()))
    thread.start()
    started.wait(5)
    yield url
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


@pytest.fixture
def fake_local(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    command = list(FAKE_COMMAND)
    monkeypatch.setattr(local_runtime, "_serve_command", lambda: command)
    return command


class TestAsync:
    pytestmark = pytest.mark.anyio

    async def test_ask(self) -> None:
        async with FakeRuntime() as fake, AsyncClient(fake.url) as omni:
            answer = await omni.ask(SPEECH, output=["image", "text"])
            assert (answer.transcript, answer.text) == (HEARD, REPLY)

    async def test_respond_to_a_conversation_that_stays_as_it_is(self) -> None:
        async with FakeRuntime() as fake, AsyncClient(fake.url) as omni:
            chat = Conversation(system="Be brief.").user("a cat")
            answer = await omni.respond(chat)
            assert len(chat) == 1
            longer = chat.add(answer)
            assert [item.role for item in longer.items] == ["user", "assistant"]
            again = await omni.respond(longer.user("again"))
            assert again.text == REPLY

    async def test_a_spoken_answer(self) -> None:
        async with FakeRuntime() as fake, AsyncClient(fake.url) as omni:
            answer = await omni.ask("a cat", output=["speech"])
            assert answer.speech is not None
            chat = Conversation().user("a cat").add(answer)
            assert (await omni.respond(chat.user("and?"))).text == REPLY

    async def test_local_runs_and_stops_a_process(self, fake_local: list[str]) -> None:
        client = AsyncClient.local()
        with pytest.raises(OmniError, match="local runtime is not running"):
            _ = client.url
        async with client as omni:
            assert (await omni.ask("a cat")).text == REPLY
            url = omni.url
        with pytest.raises(ConnectFailed):
            async with AsyncClient(url).session():
                pass

    async def test_a_taken_port(self, fake_local: list[str]) -> None:
        async with FakeRuntime() as fake:
            with pytest.raises(LocalRuntimeError, match=f"port {fake.port} is in use"):
                async with AsyncClient.local(port=fake.port):
                    pass

    async def test_a_runtime_killed_while_answering_is_told_as_such(self, fake_local: list[str]) -> None:
        fake_local[:] = [
            sys.executable,
            "-c",
            "import runpy, sys, threading, os\n"
            "def die():\n    print('out of memory', file=sys.stderr, flush=True)\n    os._exit(9)\n"
            f"sys.path.insert(0, {str(Path(fake_runtime.__file__).parents[2])!r})\n"
            "import tests.support.fake_runtime as fake\n"
            "fake.FakeSession.partials = lambda *a, **k: die()\n"
            "import argparse, asyncio\nasyncio.run(fake.serve_forever(0, fake.Script()))",
        ]
        with pytest.raises(LocalRuntimeError, match="exit code 9 while it was being used\nout of memory"):
            async with AsyncClient.local() as omni:
                await omni.ask("a cat")


class TestSync:
    def test_ask(self, fake_url: str) -> None:
        with Client(fake_url) as omni:
            answer = omni.ask(SPEECH)
            assert (answer.transcript, answer.text) == (HEARD, REPLY)
            assert isinstance(answer.image, Image)

    def test_watching_partials(self, fake_url: str) -> None:
        with Client(fake_url) as omni, omni.session(output=["image", "text"]) as session:
            session.send(SPEECH)
            response = session.respond()
            shares = [partial.progress for partial in response]
            assert shares == sorted(shares)
            assert shares[-1] == 1.0
            assert response.wait().transcript == HEARD
            assert session.last_response is response
            assert len(session.conversation) == 2
            assert session.capabilities is not None

    def test_a_spoken_answer(self, fake_url: str) -> None:
        with Client(fake_url) as omni, omni.session(output=["speech", "text"]) as session:
            session.send("a cat")
            response = session.respond()
            assert [partial.slots["speech"].progress for partial in response][-1] == 1.0
            assert response.speech is not None
            assert (response.speech.transcript, response.speech.sample_rate_hz) == (REPLY, 24_000)

    def test_speaking(self, fake_url: str) -> None:
        with Client(fake_url) as omni, omni.session() as session:
            with session.speak(sample_rate_hz=16000) as mic:
                mic.send(SPEECH.pcm.tobytes())
            assert session.ask("and?").text == REPLY
            with pytest.raises(MediaError), session.speak():
                pass

    def test_cancelling(self, fake_url: str) -> None:
        with Client(fake_url) as omni, omni.session(steps=100) as session:
            session.send("a cat")
            response = session.respond()
            response.cancel()
            assert response.wait().status == "cancelled"

    def test_a_conversation(self, fake_url: str) -> None:
        with Client(fake_url) as omni:
            assert omni.respond(Conversation().user("a cat")).text == REPLY

    def test_what_a_session_can_beside_talking(self) -> None:
        with (
            serving(ScriptedEngine(texts={"text": "a cat"})) as url,
            Client(url) as omni,
            omni.session(output=["text"]) as session,
        ):
            session.send("not this")
            session.delete(session.conversation[0].id)
            answer = session.fill(Canvas(Text(max_tokens=5), prompt="what is it?"))
            assert answer.wait().status == "completed"
            assert len(session.conversation) == 0

    def test_local(self, fake_local: list[str]) -> None:
        with Client.local() as omni:
            assert omni.ask("a cat").text == REPLY
            assert omni.url.startswith("ws://127.0.0.1:")

    def test_not_entered(self) -> None:
        with pytest.raises(OmniError, match="use: with Client"):
            Client("ws://127.0.0.1:1").ask("a cat")

    def test_no_thread_is_left(self, fake_url: str) -> None:
        before = threading.active_count()
        with Client(fake_url) as omni:
            omni.ask("a cat")
        assert threading.active_count() == before


class TestAgainstTheServer:
    """The same without a fake on the far side: the real server over an engine that follows a script."""

    pytestmark = pytest.mark.anyio

    async def test_a_spoken_turn_with_all_its_partials(self) -> None:
        with serving(ScriptedEngine(step_s=0.08)) as url:
            async with AsyncClient(url) as omni, omni.session(output=["image", "text"]) as session:
                await session.send(SPEECH)
                response = session.respond(seed=5)
                seen = [partial async for partial in response]
                assert [partial.step for partial in seen] == [1, 2, 3, 4]
                assert "▒" in seen[0].transcript
                assert seen[-1].transcript == "a red ball"
                assert [int(partial.image.mask.sum()) for partial in seen if partial.image] == [12, 8, 4, 0]
                assert (response.transcript, response.text, response.seed) == ("a red ball", "here it is", 5)
                assert response.image is not None
                assert response.image.size == (32, 32)
                assert response.usage is not None
                assert response.usage.output_token_details.image_tokens == 16
                assert [item.status for item in session.conversation.items] == ["completed", "completed"]
                assert session.conversation.items[0].parts[0].transcript == "a red ball"  # type: ignore[union-attr]

    @pytest.mark.parametrize("form", ["msgpack", "json"])
    async def test_every_kind_of_turn(self, form: Wire) -> None:
        picture = Image(np.zeros((8, 8, 3), np.uint8))
        with serving(ScriptedEngine()) as url:
            async with AsyncClient(url, wire=form) as omni:
                assert (await omni.ask("a ball")).image is not None
                assert (await omni.ask(SPEECH, output=["text"])).transcript == "a red ball"
                assert (await omni.ask(picture, "what is it?", output=["text"])).text == "here it is"
                assert (await omni.ask(SPEECH, picture, output=["text"])).image is None

    @pytest.mark.parametrize("form", ["msgpack", "json"])
    async def test_spoken_answers(self, form: Wire) -> None:
        engine = ScriptedEngine(speech_s=3.2)
        with serving(engine, SPEAKING_MODEL) as url:
            async with AsyncClient(url, wire=form) as omni, omni.session(output=["speech", "text"]) as session:
                await session.send(SPEECH)
                response = session.respond()
                assert [partial.slots["speech"].progress async for partial in response][-1] == 1.0
                assert response.speech is not None
                assert response.speech.duration_s == pytest.approx(3.2, abs=1e-3)
                assert (response.speech.transcript, response.text) == ("here it is", "here it is")
                assert session.conversation.items[-1] == response.item
                assert response.usage is not None
                assert response.usage.output_token_details.audio_tokens == 25
                assert (await session.ask("say this")).text == "say this"
                assert engine.submitted[-1].recipe.name == "text_to_speech"
                assert (await session.ask(SPEECH, output=["text"])).speech is None
                assert engine.submitted[-1].recipe.name == "speech_to_text"

    async def test_a_model_that_does_not_speak(self) -> None:
        with serving(ScriptedEngine()) as url:
            async with AsyncClient(url) as omni:
                with pytest.raises(ServerError, match="this model does not speak; leave speech out"):
                    await omni.ask("a ball", output=["speech"])

    async def test_the_numbers_that_are_told_can_be_changed(self) -> None:
        engine = ScriptedEngine()
        with serving(engine) as url:
            async with AsyncClient(url) as omni, omni.session(slots={"image": SlotSettings(steps=24)}) as session:
                assert session.capabilities is not None
                details = {recipe.name: recipe for recipe in session.capabilities.recipe_details}
                assert list(details) == session.capabilities.recipes
                picture = details["text_to_image"].slots[0]
                assert (picture.name, picture.length, picture.steps, picture.schedule) == ("image", 100, 8, "cosine")
                await session.ask("a ball", recipe="text_to_image", slots={"image": {"temperature": 0.5}})
                asked = engine.submitted[-1].recipe.slots[0]
                assert (asked.steps, asked.temperature, asked.top_k) == (24, 0.5, picture.top_k)
                with pytest.raises(ServerError, match=r"there is no slot 'picture'; .* image, text, transcript"):
                    await session.ask("a ball", slots={"picture": {"steps": 3}})
                with pytest.raises(ServerError, match=r"there is no recipe 'captioning'; this model has text_to_image"):
                    await session.ask("a ball", recipe="captioning")

    async def test_asking_about_the_picture_that_was_drawn(self) -> None:
        engine = ScriptedEngine()
        with serving(engine) as url:
            async with AsyncClient(url) as omni:
                chat = Conversation().user("a ball")
                chat = chat.add(await omni.respond(chat)).user("what is it?")
                await omni.respond(chat, output=["text"])
                assert engine.submitted[-1].recipe.name == "image_to_text"
                await omni.respond(chat, output=["image"])
                assert engine.submitted[-1].recipe.name == "text_to_image"

    async def test_cancelling_finalizing_and_failing(self) -> None:
        with serving(ScriptedEngine(hold=True)) as url:
            async with AsyncClient(url) as omni, omni.session() as session:
                await session.send("a ball")
                first = session.respond()
                first.cancel()
                second = session.respond()
                assert (await first).status == "cancelled"
                async for _partial in second:
                    second.finalize()
                assert (second.status, second.reason) == ("incomplete", "finalized")
                assert second.image is not None
        with serving(ScriptedEngine(fails="no more memory")) as url:
            async with AsyncClient(url) as omni:
                with pytest.raises(ResponseFailed, match="no more memory"):
                    await omni.ask("a ball")

    async def test_a_refused_key(self) -> None:
        with serving(ScriptedEngine(), settings=ServerSettings(keys=(Key.of("right"),))) as url:
            async with AsyncClient(url, api_key="right") as omni:
                assert (await omni.ask("a ball")).status == "completed"
            with pytest.raises(ConnectFailed, match=r"HTTP 401: the API key is .*; give the right api_key"):
                await AsyncClient(url, api_key="wrong").ask("a ball")


def test_an_answer_is_gone_on_with_twice() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    with serving(engine) as url, Client(url) as omni, omni.session(output=["image"], steps=100) as session:
        session.send("a cat")
        first = session.respond(seed=1)
        with pytest.raises(OmniError, match="wait for a partial"):
            first.fork()
        next(iter(first))
        second = first.fork(seed=2)
        pictures = [response.wait().image for response in (first, second)]
        assert pictures[0] != pictures[1]
        with pytest.raises(OmniError, match="it is finished"):
            first.fork()
