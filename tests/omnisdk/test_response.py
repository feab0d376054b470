import asyncio

import numpy as np
import pytest

from omnisdk.editing import Box, Edit
from omnisdk.errors import ConnectionLost, OmniError, ResponseUnfinished, ServerError
from omnisdk.media import PreviewImage
from omnisdk.partials import Partial, SpeechPartial
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from tests.support.fake_runtime import HEARD, REPLY, TONE, FakeRuntime, Script

pytestmark = pytest.mark.anyio


class TestWatching:
    async def test_a_quick_loop_sees_every_step(self) -> None:
        async with FakeRuntime(Script(steps=6, step_s=0.02)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            seen = [partial async for partial in response]
            assert [partial.step for partial in seen] == [1, 2, 3, 4, 5, 6]
            assert all(partial.image is not None for partial in seen)
            assert seen[0].image is not None
            assert seen[0].image.mask.sum() == 64 - 64 // 6
            assert "▒" in seen[0].text
            assert seen[-1].text == REPLY
            assert response.num_partials == 6

    async def test_a_slow_loop_skips_and_never_lags(self) -> None:
        async with FakeRuntime(Script(steps=20, step_s=0.005)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            seen = []
            async for partial in session.respond():
                seen.append(partial.step)
                await asyncio.sleep(0.04)
            assert len(seen) < 15
            assert seen == sorted(set(seen))
            assert seen[-1] == 20

    @pytest.mark.parametrize(
        "order", [("progress", "image", "text", "delta"), ("image", "progress", "delta", "text"), ("image", "delta")]
    )
    async def test_any_order_of_a_group_gives_whole_snapshots(self, order: tuple[str, ...]) -> None:
        script = Script(steps=4, step_s=0.01, group_order=order)
        async with FakeRuntime(script) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            seen = [partial async for partial in session.respond()]
        assert seen[-1].step == 4
        assert seen[-1].image is not None
        for partial in seen:
            assert partial.image is None or partial.image.unmasked_ratio <= partial.step / 4 + 1e-6

    async def test_two_loops_and_an_await_see_the_same_answer(self) -> None:
        async def last(response: Response) -> Partial:
            return [partial async for partial in response][-1]

        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            first, second, awaited = await asyncio.gather(last(response), last(response), response)
            assert first is second
            assert awaited is response

    async def test_without_partials(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond(partials="off")
            assert [partial async for partial in response] == []
            assert response.image is not None
            assert response.timing.first_partial_s is None

    async def test_timing_starts_at_the_end_of_the_turn(self) -> None:
        async with FakeRuntime(Script(steps=4, step_s=0.02)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            await asyncio.sleep(0.1)
            response = await session.respond()
            assert response.timing.first_partial_s is not None
            assert response.timing.final_s is not None
            assert 0.12 < response.timing.first_partial_s < response.timing.final_s
            again = await session.respond()
            assert again.timing.first_partial_s is not None
            assert again.timing.first_partial_s < 0.1


class TestActing:
    async def test_cancel(self) -> None:
        async with FakeRuntime(Script(steps=100, step_s=0.01)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            await anext(aiter(response))
            response.cancel()
            assert not response.finished
            assert (await response).status == "cancelled"
            assert response.reason == "client_cancelled"
            assert response.image is None
            response.cancel()
            assert len(fake.received_of("response.cancel")) == 1

    async def test_cancel_before_the_server_named_it(self) -> None:
        async with FakeRuntime(Script(steps=100, step_s=0.01)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            response.cancel()
            assert (await response).status == "cancelled"

    async def test_finalize(self) -> None:
        async with FakeRuntime(Script(steps=100, step_s=0.01)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            async for _partial in response:
                response.finalize()
                break
            await response
            assert (response.status, response.reason) == ("incomplete", "finalized")
            assert response.image is not None


class TestChanging:
    async def test_edits_and_tuning_go_out_and_tell_their_step(self) -> None:
        async with FakeRuntime(Script(steps=100, step_s=0.01)) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            edits = Edit.mask("image", Box(0, 0, 8, 8)), Edit.set("text", [3], [7]), Edit.pin("text", range(2))
            assert await response.edit(*edits) == 2
            assert await response.tune(steps_left=4) == 3
            response.cancel()
            await response
            (edited,) = fake.received_of("omni.canvas.edit")
            assert edited["canvas_id"] == response.canvas_id
            assert edited["edits"] == [
                {"action": "mask", "slot": "image", "box": [0, 0, 8, 8]},
                {"action": "set", "slot": "text", "positions": [3], "tokens": [7]},
                {"action": "pin", "slot": "text", "positions": [0, 1]},
            ]
            (tuned,) = fake.received_of("omni.response.tune")
            assert (tuned["response_id"], tuned["steps_left"], "temperature" in tuned) == (response.id, 4, False)

    async def test_a_refusal_is_raised_where_it_was_asked_and_the_answer_goes_on(self) -> None:
        async with FakeRuntime(Script(steps=20, refuse="omni.canvas.edit")) as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            with pytest.raises(ServerError, match="refused here"):
                await response.edit(Edit.mask("image", [0]))
            assert (await response).status == "completed"

    async def test_a_finished_answer_cannot_be_changed(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            response = await session.ask("apples")
            with pytest.raises(OmniError, match="what is finished cannot be changed"):
                await response.edit(Edit.mask("image", [0]))
            assert not fake.received_of("omni.canvas.edit")


class TestFinished:
    async def test_its_parts(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            response = await session.ask("apples", seed=3)
            assert response.text == REPLY
            assert response.usage is not None
            assert response.seed == 3
            assert response.unmasked_per_step == [16, 16, 16, 16]
            assert response.item.parts[-1] == response.image
            assert "status='completed'" in repr(response)
            assert "image/png" in response._repr_mimebundle_()
            assert response.frames[-1] == response.image
            assert all(isinstance(frame, PreviewImage) for frame in response.frames[:-1])
            assert "data:image/webp" in str(response._repr_mimebundle_()["text/html"])

    async def test_a_spoken_answer(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond(output=["speech", "text"])
            heard = [partial.slots["speech"] async for partial in response]
            assert [slot.progress for slot in heard] == [
                0.25,
                0.5,
                0.75,
                1.0,
                1.0,
                1.0,
            ]  # two pieces of sound come last
            assert isinstance(heard[-1], SpeechPartial)
            assert heard[-1].speech == response.speech.with_transcript(None)
            assert response.speech is not None
            assert response.speech.pcm.astype("<i2").tobytes() == TONE
            assert (response.speech.sample_rate_hz, response.speech.transcript) == (24_000, REPLY)
            assert response.text == REPLY
            assert response.image is None
            assert response.item.parts == (response.speech,)
            assert session.conversation.items[-1] == response.item
            assert "speech=Speech 0.53 s" in repr(response)
            assert "<audio controls" in str(response._repr_mimebundle_()["text/html"])

    async def test_an_answer_without_speech(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            response = await session.ask("apples")
            assert response.speech is None
            assert "<audio" not in str(response._repr_mimebundle_()["text/html"])

    async def test_reading_it_too_early(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            for read in (
                lambda: response.text,
                lambda: response.image,
                lambda: response.speech,
                lambda: response.transcript,
            ):
                with pytest.raises(ResponseUnfinished, match="await it first"):
                    read()
            assert "in_progress" in repr(response)
            await response

    async def test_what_was_heard(self) -> None:
        from omnisdk.media import Speech

        speech = Speech(np.full(4800, 0.1), sample_rate_hz=24000)
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            assert (await session.ask(speech)).transcript == HEARD

    async def test_sync_words_on_an_async_response(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            await session.send("apples")
            response = session.respond()
            with pytest.raises(OmniError, match="use `await response`"):
                response.wait()
            with pytest.raises(OmniError, match="use `await response`"):
                list(response)
            await response

    async def test_only_the_first_end_counts(self) -> None:
        async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
            response = await session.ask("apples")
            response.fail(ConnectionLost("late"))
            assert (await response).status == "completed"
