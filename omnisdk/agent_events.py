"""What an agent tells of itself while it works, and what it gives in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from omnisdk.canvas import Canvas
from omnisdk.conversation import Conversation, ToolCall, ToolResult
from omnisdk.errors import ResponseFailed
from omnisdk.media import Image, Speech
from omnisdk.partials import Partial
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.settings import AnswerKeywords
from omnisdk.tools import Output

if TYPE_CHECKING:
    from omnisdk.agent import Agent

Out = TypeVar("Out", covariant=True)


@dataclass(frozen=True)
class Called:
    """A call the model made and what it was told. error: whether the tool failed; `output` then says why."""

    call: ToolCall
    output: Output
    error: bool = False

    def __str__(self) -> str:
        return f"{self.call} {'failed:' if self.error else '->'} {self.output}"


@dataclass(frozen=True)
class Progress:
    """What a tool that is a generator says of itself on the way."""

    call: ToolCall
    value: object

    def __str__(self) -> str:
        return f"{self.call.name}: {self.value}"


@dataclass(frozen=True)
class Handoff:
    """Another agent goes on with the turn."""

    agent: Agent[object]


@dataclass(frozen=True)
class ModelRequest:
    """What a model is about to answer, the settings that hold for this answer, and how it is laid out."""

    conversation: Conversation
    settings: AnswerKeywords = field(default_factory=AnswerKeywords)
    canvas: Canvas | None = None


@dataclass(frozen=True)
class AgentResult(Generic[Out]):
    """The last answer, all that was said, and all that was called.

    output: what an agent with an output type gives; of others the answer's text. agent: the one that answered.
    """

    output: Out
    response: Response
    conversation: Conversation = field(repr=False)
    tool_calls: tuple[Called, ...]
    agent: Agent[object] = field(repr=False)

    def __str__(self) -> str:
        calls = "".join(f"{called}; " for called in self.tool_calls)
        return f"{calls}{self.response if self.output == self.response.text else self.output}"

    @property
    def text(self) -> str:
        """What the last answer says."""
        return self.response.text or ""

    @property
    def image(self) -> Image | None:
        """The first picture of the last answer."""
        return self.response.image

    @property
    def speech(self) -> Speech | None:
        """What the last answer says aloud."""
        return self.response.speech

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {**self.response._repr_mimebundle_(), "text/plain": repr(self)}


# Of a live voice session


@dataclass(frozen=True)
class UserBegan:
    """The user begins to speak. heard_s: how much was heard of what was being said, None if nothing was."""

    heard_s: float | None = None


@dataclass(frozen=True)
class UserSpoke:
    """The user has said this; it is answered next."""

    speech: Speech


@dataclass(frozen=True)
class Understood:
    """What the model takes the user's words for."""

    text: str


@dataclass(frozen=True)
class TurnStopped:
    """A hook ended the turn, and says why."""

    reason: str


@dataclass(frozen=True)
class TurnFailed:
    """The server failed at the answer; the next turn is taken all the same."""

    error: ResponseFailed


AgentEvent = Partial | ToolCall | Progress | Called | Handoff | AgentResult[Out]
LiveEvent = AgentEvent[object] | UserBegan | UserSpoke | Understood | TurnStopped | TurnFailed


async def tell_output(session: AsyncSession, called: Called) -> None:
    """Pictures and speech that a tool gave are shown beside its output, which is text."""
    parts = called.output if isinstance(called.output, tuple) else (called.output,)
    words = [part for part in parts if isinstance(part, str)]
    media = [part for part in parts if not isinstance(part, str)]
    await session.send(ToolResult(called.call.call_id, "\n".join(words or map(str, media))))
    for part in media:
        await session.send(part)
