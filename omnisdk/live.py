"""A live voice session of an agent: it hears when the user speaks, answers aloud, and falls silent when spoken into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omnisdk.agent_events import (
    LiveEvent,
    TurnFailed,
)
from omnisdk.conversation import Conversation
from omnisdk.errors import OmniError, SettingsError
from omnisdk.media import Speech
from omnisdk.playback import Playback, SpeakerLike, check_speaker
from omnisdk.pump import Pump, Sound
from omnisdk.talk import Talk

if TYPE_CHECKING:
    from omnisdk.agent import Agent
    from omnisdk.client import Client


class Live:
    """`async for event in agent.live(microphone(), speaker()):`, or `await agent.live(...)` for the conversation.

    With the sync client `for event in agent.live_sync(...):`, or `agent.live_sync(...).wait()`. It ends with the
    microphone, once all was answered and heard, or when the loop is left. Awaited, it raises what a loop is told as
    TurnFailed. conversation: as the last agent left it. Both devices are closed at the end.
    """

    def __init__(
        self,
        agent: Agent[object],
        microphone: AsyncIterable[Sound] | Speech,
        speaker: SpeakerLike,
        conversation: Conversation | None,
        deps: object,
        client: Client | None = None,
    ) -> None:
        if agent.form is not None:
            raise SettingsError("an agent whose output is a type cannot talk; leave output out, or use run(...)")
        if agent.canvas is not None:
            raise SettingsError("an agent whose answers are laid out on a canvas cannot talk; give run(canvas=...) one")
        check_speaker(speaker)
        self.conversation: Conversation = (
            conversation if conversation is not None else Conversation(system=agent.instructions or None)
        )
        self._agent, self._deps = agent, deps
        self._client = client  # the sync one, on whose thread it runs
        self._microphone, self._playback = microphone, Playback(speaker)
        self._told: asyncio.Queue[Any] = asyncio.Queue()

    def __await__(self) -> Generator[Any, None, Conversation]:
        return self._to_the_end().__await__()

    async def _to_the_end(self) -> Conversation:
        async with aclosing(self.events()) as told:
            async for event in told:
                if isinstance(event, TurnFailed):
                    raise event.error
        return self.conversation

    def __aiter__(self) -> AsyncGenerator[LiveEvent, None]:
        return self.events()

    def __iter__(self) -> Iterator[LiveEvent]:
        return self._sync().iterate(self.events())

    def wait(self) -> Conversation:
        """The conversation at the end, for the sync client."""
        return self._sync().call(lambda _: self._to_the_end())

    def _sync(self) -> Client:
        if self._client is None:
            raise OmniError("this belongs to an AsyncClient; use `await live` and `async for`")
        return self._client

    async def events(self) -> AsyncGenerator[LiveEvent, None]:
        """What happens, as it happens."""
        end = object()
        work = asyncio.create_task(self._run())
        work.add_done_callback(lambda _: self._told.put_nowait(end))
        try:
            while (event := await self._told.get()) is not end:
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _run(self) -> None:
        agent, goes_on, pump = self._agent, False, Pump(self._microphone)
        try:
            while True:
                session = agent.open_session(self.conversation)
                talk = Talk(agent, session, self._playback, self._told, self._deps)
                async with session:
                    try:
                        successor = await talk.run(pump, goes_on)
                    finally:
                        self.conversation = session.conversation
                if successor is None:
                    return
                agent, goes_on = successor.agent, True
                self.conversation = replace(successor.conversation, system=agent.instructions or None)
        finally:
            self._playback.close()
            await pump.close()
