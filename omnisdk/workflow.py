"""Steps one after another or side by side: what one gives the next one takes, partials of all of them are told."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, overload

from omnisdk.agent import Agent
from omnisdk.agent_events import AgentResult
from omnisdk.errors import OmniError
from omnisdk.portal import started
from omnisdk.response import Response
from omnisdk.threads import in_thread, steps_in_thread
from omnisdk.tools import last

In = TypeVar("In")
Out = TypeVar("Out")
Next = TypeVar("Next")
Given = TypeVar("Given", contravariant=True)
Kind = Literal["started", "partial", "retrying", "done"]


class StepFailed(OmniError):  # noqa: N818 - as ConnectFailed
    """A step raised, or took too long. step: its name; within another workflow, with that one's before it."""

    def __init__(self, step: str, told: str) -> None:
        super().__init__(f"step {step!r} {told}")
        self.step = step


@dataclass(frozen=True)
class StepEvent:
    """What happens to a step. value: what it takes when it starts, what it gives, or the error it is retried for."""

    step: str
    kind: Kind
    value: object


@dataclass(frozen=True)
class WorkflowResult(Generic[Out]):
    """What the last step gave."""

    value: Out


Step = Callable[[In], Awaitable[Out]] | Callable[[In], Out]
Tell = Callable[[StepEvent], None]


class Runs(Protocol[Given]):
    """Another workflow, as a step."""

    async def run(self, value: Given) -> object: ...


@dataclass(frozen=True)
class _Stage:
    """Steps that run side by side; `one` if it is a single one, whose value is not put into a mapping."""

    steps: Mapping[str, Any]
    retries: int
    timeout: float | None
    one: bool


class Workflow(Generic[In, Out]):
    """`Workflow(hear).step(look_up, retries=2).parallel(picture=draw, voice=say)`; each call gives a new workflow.

    A step is a function of one value, sync (run in a thread) or async, a generator (what it yields last is its value,
    the rest are partials), a tool, an Agent, or another Workflow. A step that gives a Response is watched while that
    forms. retries: how often a step that fails is begun anew; timeout: seconds for each try.
    """

    @overload
    def __init__(
        self: Workflow[In, AgentResult[Next]],
        first: Agent[Next],
        *,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        first: Callable[[In], AsyncGenerator[Out, None]],
        *,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        first: Callable[[In], Awaitable[Out]] | Workflow[In, Out],
        *,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, first: Callable[[In], Out], *, name: str | None = None, retries: int = 0, timeout: float | None = None
    ) -> None: ...
    def __init__(self, first: Any, *, name: str | None = None, retries: int = 0, timeout: float | None = None) -> None:
        self._stages: tuple[_Stage, ...] = (_stage(first, name, retries, timeout),)

    @overload
    def step(
        self, then: Agent[Next], *, name: str | None = None, retries: int = 0, timeout: float | None = None
    ) -> Workflow[In, AgentResult[Next]]: ...
    @overload
    def step(
        self,
        then: Callable[[Out], AsyncGenerator[Next, None]],
        *,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> Workflow[In, Next]: ...
    @overload
    def step(
        self,
        then: Callable[[Out], Awaitable[Next]] | Workflow[Out, Next],
        *,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> Workflow[In, Next]: ...
    @overload
    def step(
        self, then: Callable[[Out], Next], *, name: str | None = None, retries: int = 0, timeout: float | None = None
    ) -> Workflow[In, Next]: ...
    def step(self, then: Any, *, name: str | None = None, retries: int = 0, timeout: float | None = None) -> Any:
        """With one more step, which takes what the last one gave."""
        return self._with(_stage(then, name, retries, timeout))

    def parallel(
        self,
        *,
        retries: int = 0,
        timeout: float | None = None,
        **steps: Callable[[Out], object] | Agent[object] | Runs[Out],
    ) -> Workflow[In, dict[str, object]]:
        """With steps that all take what the last one gave, at once; they give a mapping by their names.

        If one of them fails, the others are cancelled.
        """
        if not steps:
            raise OmniError("no step came; give each a name, as in parallel(picture=draw, voice=say)")
        return cast("Workflow[In, dict[str, object]]", self._with(_Stage(_checked(steps), retries, timeout, one=False)))

    def __repr__(self) -> str:
        return f"Workflow({' → '.join(' | '.join(stage.steps) for stage in self._stages)})"

    async def run(self, value: In) -> Out:
        """What the last step gives. Raises StepFailed."""
        return cast(Out, await self._run(value, lambda _: None))

    def run_sync(self, value: In) -> Out:
        """`run` for a program without an event loop."""
        with started() as portal:
            return portal.call(self.run, value)

    def stream_sync(self, value: In) -> Iterator[StepEvent | WorkflowResult[Out]]:
        """`stream` for a program without an event loop."""
        with started() as portal:
            yield from portal.iterate(self.stream(value))

    async def stream(self, value: In) -> AsyncGenerator[StepEvent | WorkflowResult[Out], None]:
        """What happens to every step as it happens, and the result at the end. Leaving the loop cancels the whole.

        Of the partials of a step, a slow loop sees the newest.
        """
        told = _Told()
        work = asyncio.create_task(self._run(value, told.put))
        work.add_done_callback(lambda _: told.end())
        try:
            while (event := await told.get()) is not None:
                yield event
            yield WorkflowResult(cast(Out, await work))
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _with(self, stage: _Stage) -> Workflow[Any, Any]:
        longer: Workflow[Any, Any] = object.__new__(Workflow)
        longer._stages = (*self._stages, stage)
        return longer

    async def _run(self, value: object, tell: Tell) -> object:
        for stage in self._stages:
            given = await _side_by_side(stage, value, tell)
            value = next(iter(given.values())) if stage.one else given
        return value


async def _side_by_side(stage: _Stage, value: object, tell: Tell) -> dict[str, object]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(_tried(name, step, value, stage, tell)) for name, step in stage.steps.items()
            }
    except ExceptionGroup as failed:
        first = failed.exceptions[0]  # one is enough to say; the others ended with it
        raise first from first.__cause__
    return {name: task.result() for name, task in tasks.items()}


async def _tried(name: str, step: Any, value: object, stage: _Stage, tell: Tell) -> object:
    tell(StepEvent(name, "started", value))
    for left in range(stage.retries, -1, -1):
        try:
            async with asyncio.timeout(stage.timeout):
                given = await _given(name, step, value, tell)
        except Exception as error:  # whatever the function of a user raises
            if not left:
                raise _failure(name, error, stage.timeout) from error
            tell(StepEvent(name, "retrying", error))
        else:
            tell(StepEvent(name, "done", given))
            return given
    raise AssertionError("the last try gives or raises")


async def _given(name: str, step: Any, value: Any, tell: Tell) -> object:
    """What the step makes of the value."""

    def told(partial: object) -> None:
        tell(StepEvent(name, "partial", partial))

    if isinstance(step, Workflow):
        return await step._run(value, lambda event: tell(replace(event, step=f"{name}.{event.step}")))
    if isinstance(step, Agent):
        return await last(step.stream(value), told)
    function = inspect.unwrap(step)  # of a tool
    if inspect.isasyncgenfunction(function):
        return await last(step(value), told)
    if inspect.isgeneratorfunction(function):
        return await last(steps_in_thread(step(value)), told)
    is_async = inspect.iscoroutinefunction(function)
    given = await step(value) if is_async else await in_thread(functools.partial(step, value))
    if isinstance(given, Response) and not given.finished:
        async for partial in given:
            told(partial)
    return await given if inspect.isawaitable(given) else given


def _failure(name: str, error: Exception, timeout: float | None) -> StepFailed:
    if isinstance(error, StepFailed):
        return StepFailed(f"{name}.{error.step}", str(error).partition(f"{error.step!r} ")[2])
    if isinstance(error, TimeoutError) and timeout is not None:
        return StepFailed(name, f"took longer than {timeout:g} s and was stopped")
    return StepFailed(name, f"failed: {str(error) or type(error).__name__}")


def _stage(step: Any, name: str | None, retries: int, timeout: float | None) -> _Stage:
    return _Stage(_checked({name or _name_of(step): step}), retries, timeout, one=True)


def _name_of(step: Any) -> str:
    return str(getattr(step, "name", None) or getattr(step, "__name__", None) or type(step).__name__.lower())


def _checked(steps: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, step in steps.items():
        if not isinstance(step, Agent | Workflow) and not callable(step):
            raise OmniError(
                f"step {name!r} is a {type(step).__name__}; give a function of one value, an Agent or a Workflow"
            )
    return steps


class _Told:
    """Events on their way to whoever watches: a newer partial takes the place of one of the same step not yet seen."""

    def __init__(self) -> None:
        self._waiting: list[StepEvent] = []
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, event: StepEvent) -> None:
        unseen = [index for index, before in enumerate(self._waiting) if before.step == event.step]
        if event.kind == "partial" and unseen and self._waiting[unseen[-1]].kind == "partial":
            self._waiting[unseen[-1]] = event
        else:
            self._waiting.append(event)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def get(self) -> StepEvent | None:
        """The next event; None when there is no more."""
        while not self._waiting:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.pop(0)
