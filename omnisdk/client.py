"""The door to a server or to the runtime of this machine, async and sync over the same code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, contextmanager
from types import TracebackType
from typing import Any, TypeVar, Unpack, overload

from omnisdk.audio_file import Pcm
from omnisdk.canvas import Canvas
from omnisdk.connecting import Wire
from omnisdk.conversation import Conversation, Item, PartLike
from omnisdk.editing import Wait
from omnisdk.errors import ConnectFailed, ConnectionLost, LocalRuntimeError, OmniError
from omnisdk.local_runtime import LocalRuntime
from omnisdk.media import Image, Speech
from omnisdk.portal import Portal, opened
from omnisdk.protocol.events import OmniSessionCapabilities
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.settings import OutputModality
from omnisdk.reconnecting import Reconnect
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.settings import AnswerKeywords, GenerationSettings, SessionKeywords, SharedKeywords
from omnisdk.speaking import Speaking

T = TypeVar("T")


class AsyncClient:
    """`async with AsyncClient("ws://127.0.0.1:8765") as omni:`, or `AsyncClient.local()` to start a runtime here.

    `session(...)` opens a live session; `ask(...)` and `respond(conversation)` open one for a single answer.
    wire: how events are sent; as "json" they can be read on the way. reconnect: how sessions go on when their
    connection is lost, None for not at all; nor do those of a runtime of this machine, which died.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        wire: Wire = "msgpack",
        reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._url: str | None = url
        self._api_key = api_key
        self._reconnect = reconnect
        self._wire: Wire = wire
        self._runtime: LocalRuntime | None = None
        self._stack = AsyncExitStack()
        self._filling: AsyncSession | None = None  # in which canvases are filled
        self._filling_lock = asyncio.Lock()
        self._entered = False
        self.wait: Wait | None = None  # how a thread without its loop waits; set by the sync client

    def __repr__(self) -> str:
        return f"AsyncClient({self._url!r})" if self._runtime is None else "AsyncClient.local()"

    @classmethod
    def local(cls, *, port: int = 0, start_timeout_s: float = 60.0) -> AsyncClient:
        """A client of its own runtime process on 127.0.0.1, stopped with the client. Port 0 is any free one."""
        client = cls("", reconnect=None)
        client._url = None
        client._runtime = LocalRuntime(port=port, start_timeout_s=start_timeout_s)
        return client

    async def __aenter__(self) -> AsyncClient:
        if self._entered:
            raise OmniError("the client is open already; make another one for another block")
        if self._runtime is not None:
            await self._stack.enter_async_context(self._runtime)
            self._url = self._runtime.url
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = isinstance(error, ConnectionLost | ConnectFailed) and self._runtime is not None
        death = await self._runtime.death_note(wait_s=1.0) if lost and self._runtime else None
        await self._stack.aclose()
        self._entered, self._filling = False, None
        if self._runtime is not None:
            self._url = None
        if death is not None and self._runtime is not None:
            raise LocalRuntimeError(
                f"{death} while it was being used", stderr_tail=self._runtime.stderr_tail
            ) from error

    @property
    def is_local(self) -> bool:
        """Whether it starts its own runtime."""
        return self._runtime is not None

    @property
    def url(self) -> str:
        """Where the server is. Raises OmniError for a local client that was not entered."""
        if self._url is None:
            raise OmniError("the local runtime is not running; use: async with AsyncClient.local() as omni")
        return self._url

    def session(self, conversation: Conversation | None = None, **settings: Unpack[SessionKeywords]) -> AsyncSession:
        """A live session, to be entered with `async with`; it begins with `conversation` if there is one."""
        return AsyncSession(
            self.url,
            api_key=self._api_key,
            wire=self._wire,
            settings=GenerationSettings(**settings),
            conversation=conversation,
            reconnect=self._reconnect,
        )

    @overload
    async def ask(self, *parts: PartLike, output: type[T], **settings: Unpack[SharedKeywords]) -> T: ...
    @overload
    async def ask(
        self,
        *parts: PartLike,
        output: Sequence[OutputModality] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response: ...
    async def ask(self, *parts: PartLike, output: Any = None, canvas: Canvas | None = None, **settings: Any) -> Any:
        """One question of words, Speech and Images, one finished answer; with a type as output, a value of it.

        canvas: how the answer is laid out, as of `AsyncSession.respond`.
        """
        async with self.session(**settings) as session:
            return await session.ask(*parts, output=output, canvas=canvas)

    async def fill(self, canvas: Canvas, **settings: Unpack[SharedKeywords]) -> Response:
        """Have what a canvas leaves open filled in: an answer that forms, to be watched, changed and awaited.

        It belongs to a session that stays open as long as the client.
        """
        if not self._entered:
            raise OmniError("the client is not open; use: async with AsyncClient(...) as omni")
        async with self._filling_lock:
            if self._filling is None or self._filling.lost:
                self._filling = await self._stack.enter_async_context(self._filling_session())
        return self._filling.fill(canvas, **settings)

    def _filling_session(self) -> AsyncSession:
        session = self.session()
        if self.wait is not None:
            session.wait_with(self.wait)
        return session

    async def respond(
        self,
        conversation: Conversation,
        *,
        output: Sequence[OutputModality] | type[object] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response:
        """The finished answer to a conversation, which stays as it is: `conversation.add(answer)` is the next one."""
        async with self.session(conversation, **settings) as session:
            return await session.respond(output=output, canvas=canvas)


class Client:
    """The same as AsyncClient for programs without an event loop: `with Client.local() as omni:`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        wire: Wire = "msgpack",
        reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._client = AsyncClient(url, api_key=api_key, wire=wire, reconnect=reconnect)
        self._stack = ExitStack()
        self._portal: Portal | None = None

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")

    @classmethod
    def local(cls, *, port: int = 0, start_timeout_s: float = 60.0) -> Client:
        """A client of its own runtime process on 127.0.0.1, stopped with the client. Port 0 is any free one."""
        client = cls("")
        client._client = AsyncClient.local(port=port, start_timeout_s=start_timeout_s)
        return client

    def __enter__(self) -> Client:
        if self._portal is not None:
            raise OmniError("the client is open already; make another one for another block")
        self._portal = self._stack.enter_context(opened(self._client))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        self._portal = None

    @property
    def url(self) -> str:
        """Where the server is. Raises OmniError for a local client that was not entered."""
        return self._client.url

    @contextmanager
    def session(
        self, conversation: Conversation | None = None, **settings: Unpack[SessionKeywords]
    ) -> Iterator[Session]:
        """A live session: `with omni.session(output=["image"]) as session:`."""
        portal = self._running_portal()
        live = portal.call(lambda: self._client.session(conversation, **settings))
        live.wait_with(portal.wait)
        with portal.entered(live):
            yield Session(live, portal)

    @overload
    def ask(self, *parts: PartLike, output: type[T], **settings: Unpack[SharedKeywords]) -> T: ...
    @overload
    def ask(
        self,
        *parts: PartLike,
        output: Sequence[OutputModality] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response: ...
    def ask(self, *parts: PartLike, **settings: Any) -> Any:
        """One question of words, Speech and Images, one finished answer; with a type as output, a value of it.

        canvas: how the answer is laid out, as of `Session.respond`.
        """
        return self._running_portal().call(lambda: self._client.ask(*parts, **settings))

    def fill(self, canvas: Canvas, **settings: Unpack[SharedKeywords]) -> Response:
        """Have what a canvas leaves open filled in: an answer that forms, `.wait()` for the finished one."""
        portal = self._running_portal()
        self._client.wait = portal.wait

        async def begun(client: AsyncClient) -> list[Response]:
            return [await client.fill(canvas, **settings)]  # a response alone would be waited for

        return self.call(begun)[0]

    def respond(
        self,
        conversation: Conversation,
        *,
        output: Sequence[OutputModality] | type[object] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response:
        """The finished answer to a conversation, which stays as it is: `conversation.add(answer)` is the next one."""
        return self.call(lambda client: client.respond(conversation, output=output, canvas=canvas, **settings))

    def call(self, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """What `work` gives, done with the AsyncClient behind this one, on its own thread."""

        async def worked() -> T:
            return await work(self._client)

        return self._running_portal().call(worked)

    def iterate(self, events: AsyncGenerator[T, None]) -> Iterator[T]:
        """An async generator as a plain one, made on the client's own thread."""
        return self._running_portal().iterate(events)

    @contextmanager
    def enter(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """An async context manager as a plain one, on the client's own thread: `with omni.enter(mcp_tools(...))`."""
        with self._running_portal().entered(manager) as entered:
            yield entered

    @property
    def asynchronous(self) -> AsyncClient:
        """The client behind this one, which does the work."""
        return self._client

    def _running_portal(self) -> Portal:
        if self._portal is None:
            raise OmniError("the client is not open; use: with Client(...) as omni")
        return self._portal


class Session:
    """A live session of the sync client: an AsyncSession whose waiting happens in another thread."""

    def __init__(self, live: AsyncSession, portal: Portal) -> None:
        self._live = live
        self._portal = portal

    def __repr__(self) -> str:
        return repr(self._live).removeprefix("Async")

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._live.url

    @property
    def lost(self) -> bool:
        """Whether the connection is gone for good."""
        return self._live.lost

    @property
    def connected(self) -> bool:
        """Whether a connection stands; between a break and the next one it does not."""
        return self._live.connected

    @property
    def conversation(self) -> Conversation:
        """All that was said."""
        return self._live.conversation

    @property
    def last_response(self) -> Response | None:
        """The newest answer, None before the first."""
        return self._live.last_response

    @property
    def capabilities(self) -> OmniSessionCapabilities | None:
        """What the server can do, None if it did not say."""
        return self._live.capabilities

    def send(self, *parts: PartLike) -> Item:
        """Say something: words, Speech, Image, several of them in one item."""
        return self._portal.call(self._live.send, *parts)

    def show(self, picture: Image) -> None:
        """Let the server see a picture of a camera or a screen; the next turn takes the newest one with it."""
        self._portal.call(self._live.show, picture)

    @contextmanager
    def speak(self, *, sample_rate_hz: int = WIRE_SAMPLE_RATE_HZ) -> Iterator[SyncSpeaking]:
        """Stream speech as it is spoken; leaving the block ends the turn."""
        with self._portal.entered(self._live.speak(sample_rate_hz=sample_rate_hz)) as mic:
            yield SyncSpeaking(mic, self._portal)

    def respond(self, *, canvas: Canvas | None = None, **settings: Unpack[AnswerKeywords]) -> Response:
        """Ask for an answer: `for partial in session.respond()`, or `.wait()` for the finished one.

        canvas: how the answer is laid out and what of it is known, in the place of output and recipe; it calls no tool.
        """

        async def begun() -> list[Response]:
            return [self._live.respond(canvas=canvas, **settings)]  # a response alone would be waited for

        return self._portal.call(begun)[0]

    def fill(self, canvas: Canvas, **settings: Unpack[SharedKeywords]) -> Response:
        """Have what a canvas leaves open filled in, beside the conversation. As `respond`."""

        async def begun() -> list[Response]:
            return [self._live.fill(canvas, **settings)]

        return self._portal.call(begun)[0]

    def delete(self, item_id: str) -> None:
        """Take an item out of the conversation. Raises ServerError if the server has none of this id."""
        self._portal.call(self._live.delete, item_id)

    @overload
    def ask(self, *parts: PartLike, output: type[T], **settings: Unpack[SharedKeywords]) -> T: ...
    @overload
    def ask(
        self,
        *parts: PartLike,
        output: Sequence[OutputModality] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response: ...
    def ask(self, *parts: PartLike, **settings: Any) -> Any:
        """Say something and wait for the finished answer; with a type as output, for a value of that type.

        canvas: how the answer is laid out, as of `respond`.
        """
        return self._portal.call(lambda: self._live.ask(*parts, **settings))


class SyncSpeaking:
    """The microphone of a sync session."""

    def __init__(self, mic: Speaking, portal: Portal) -> None:
        self._mic = mic
        self._portal = portal

    def send(self, chunk: bytes | Pcm | Speech) -> None:
        """16-bit mono PCM at the rate of `speak`, or Speech at any rate."""
        self._portal.call(self._mic.send, chunk)
