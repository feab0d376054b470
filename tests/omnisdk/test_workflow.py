import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from omnisdk.agent import Agent, AgentResult
from omnisdk.client import AsyncClient
from omnisdk.errors import OmniError
from omnisdk.partials import Partial
from omnisdk.response import Response
from omnisdk.tools import tool
from omnisdk.workflow import StepEvent, StepFailed, Workflow, WorkflowResult
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio


def double(number: int) -> int:
    return 2 * number


async def shout(number: int) -> str:
    return f"{number}!"


async def count(number: int) -> AsyncGenerator[int, None]:
    for step in range(number):
        yield step


async def fail(_value: object) -> int:
    raise ValueError("no flour")


async def wait(_value: object) -> None:
    await asyncio.sleep(60)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ScriptedEngine(texts={"text": "it is done"})) as url:
        yield url


class TestRun:
    async def test_tools_and_generators_are_steps(self) -> None:
        @tool
        async def twice(number: int) -> AsyncGenerator[int, None]:
            """Twice as much."""
            yield number
            yield 2 * number

        @tool
        def spell(number: int) -> str:
            """In words."""
            return f"number {number}"

        def louder(words: str) -> Iterator[str]:
            yield words
            yield words.upper()

        told = [event async for event in Workflow(twice).step(spell).step(louder).stream(4)]
        partials = [event for event in told if isinstance(event, StepEvent) and event.kind == "partial"]
        assert [(event.step, event.value) for event in partials] == [("twice", 4), ("louder", "number 8")]
        assert told[-1] == WorkflowResult("NUMBER 8")

    async def test_steps_take_what_the_one_before_gave(self) -> None:
        assert await Workflow(double).step(double).step(shout).run(3) == "12!"

    async def test_steps_side_by_side(self) -> None:
        flow = Workflow(double).parallel(words=shout, more=double)
        assert await flow.run(3) == {"words": "6!", "more": 12}

    async def test_a_workflow_is_a_value(self) -> None:
        short = Workflow(double)
        short.step(shout)
        assert await short.run(1) == 2

    async def test_generators_workflows_and_tools(self) -> None:
        @tool
        def halve(number: int) -> int:
            """Halve it."""
            return number // 2

        assert await Workflow(count).step(Workflow(double).step(double), name="twice").step(halve).run(5) == 8

    def test_without_an_event_loop(self) -> None:
        flow = Workflow(double).step(shout)
        assert flow.run_sync(2) == "4!"
        *events, result = flow.stream_sync(2)
        assert [(event.step, event.kind) for event in events] == [  # type: ignore[union-attr]
            (step, kind) for step in ("double", "shout") for kind in ("started", "done")
        ]
        assert result == WorkflowResult("4!")
        for _ in flow.stream_sync(2):
            break  # leaving the loop ends the whole

    async def test_where_a_loop_runs_already(self) -> None:
        assert Workflow(double).run_sync(2) == 4  # as in a notebook

    def test_it_says_what_it_does(self) -> None:
        assert repr(Workflow(double).parallel(a=shout, b=shout)) == "Workflow(double → a | b)"


class TestStream:
    async def test_every_step_is_told(self) -> None:
        events = [event async for event in Workflow(count).step(shout).stream(3)]
        assert [(event.step, event.kind) for event in events if isinstance(event, StepEvent)] == [
            ("count", "started"),
            ("count", "partial"),
            ("count", "done"),
            ("shout", "started"),
            ("shout", "done"),
        ]
        assert events[-1] == WorkflowResult("2!")

    async def test_a_slow_loop_sees_the_newest_partial(self) -> None:
        seen = [event async for event in Workflow(count).stream(100)]
        partials = [event.value for event in seen if isinstance(event, StepEvent) and event.kind == "partial"]
        assert partials == [98]

    async def test_steps_of_a_workflow_within(self) -> None:
        events = [event async for event in Workflow(Workflow(double), name="inner").stream(1)]
        assert {event.step for event in events if isinstance(event, StepEvent)} == {"inner", "inner.double"}

    async def test_answers_are_watched_while_they_form(self, url: str) -> None:
        async with AsyncClient(url).session() as session:

            async def answer(words: str) -> Response:
                await session.send(words)
                return session.respond()

            events = [event async for event in Workflow(answer).stream("hello")]
        assert any(isinstance(event, StepEvent) and isinstance(event.value, Partial) for event in events)
        assert isinstance(events[-1], WorkflowResult)
        assert events[-1].value.text == "it is done"

    async def test_agents_are_steps(self, url: str) -> None:
        flow = Workflow(shout).step(Agent(AsyncClient(url), name="porter"))
        events = [event async for event in flow.stream(3)]
        assert isinstance(events[-1], WorkflowResult)
        assert isinstance(events[-1].value, AgentResult)
        assert str(events[-1].value.conversation.items[0]) == "user: 3!"

    async def test_leaving_the_loop_cancels_the_whole(self) -> None:
        before = asyncio.all_tasks()
        events = Workflow(double).parallel(one=wait, other=wait).stream(1)
        async for event in events:
            if isinstance(event, StepEvent) and event.step == "other":
                break
        await events.aclose()
        assert asyncio.all_tasks() <= before


class TestFailing:
    async def test_the_step_is_named(self) -> None:
        with pytest.raises(StepFailed, match="step 'fail' failed: no flour") as caught:
            await Workflow(double).step(fail).run(1)
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(StepFailed, match=r"step 'inner\.fail' failed: no flour"):
            await Workflow(Workflow(fail), name="inner").run(1)

    async def test_the_others_are_cancelled(self) -> None:
        with pytest.raises(StepFailed, match="no flour"):
            await asyncio.wait_for(Workflow(double).parallel(one=wait, other=fail).run(1), 5)

    async def test_it_is_tried_again(self) -> None:
        tries = []

        async def third_time(number: int) -> int:
            tries.append(number)
            if len(tries) < 3:
                raise ValueError("not yet")
            return number

        events = [event async for event in Workflow(third_time, retries=2).stream(1)]
        assert [event.kind for event in events if isinstance(event, StepEvent)].count("retrying") == 2
        assert events[-1] == WorkflowResult(1)

    async def test_it_takes_too_long(self) -> None:
        with pytest.raises(StepFailed, match=r"step 'wait' took longer than 0.05 s"):
            await Workflow(wait, timeout=0.05).run(1)

    def test_what_is_no_step(self) -> None:
        with pytest.raises(OmniError, match="step 'int' is a int"):
            Workflow(3)  # type: ignore[call-overload]
        with pytest.raises(OmniError, match="no step came"):
            Workflow(double).parallel()
