"""The scripted runtime as a test sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeVar

from websockets.asyncio.server import ServerConnection

from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech
from omnisdk.protocol.events import ServerEvent
from omnisdk.testing.script import Call, Emit, Expect, ExpectImage, ExpectResult, Fail, Hear, Say, Script, Vanish
from omnisdk.testing.serving import SocketServer
from omnisdk.testing.session import ScriptedSession

T = TypeVar("T")


class ScriptedRuntime(SocketServer):
    """`with ScriptedRuntime() as scripted:` serves on a free port of 127.0.0.1, in a thread of its own.

    Each answer that a client asks for, or that follows a spoken turn, takes the next answer of the script, once what is
    expected before it was found in what was said since the answer before. What does not fit fails that answer, and is
    raised by `verify`. The rules of a session are the server's own; a turn is heard by its loudness.
    """

    def __init__(self) -> None:
        super().__init__(self._session)
        self._script = Script()

    def expect(self, words: str) -> ScriptedRuntime:
        """The user has written something with these words in it."""
        self._script.add(Expect(_given(words, str, 'words; pictures with expect_image(...), speech with hear("...")')))
        return self

    def expect_image(self, image: Image | None = None) -> ScriptedRuntime:
        """The user has shown a picture, or a tool has; image: this one, as far as JPEG may change it."""
        self._script.add(ExpectImage(image if image is None else _given(image, Image, "Image(...)")))
        return self

    def hear(self, words: str, speech: Speech | None = None) -> ScriptedRuntime:
        """The user has spoken; words: what the model heard. speech: what was to be said, at any rate of samples.

        A turn that was cut at its silence is still the same speech.
        """
        self._script.add(Hear(words, speech if speech is None else _given(speech, Speech, "Speech(...)")))
        return self

    def expect_tool_result(self, output: str) -> ScriptedRuntime:
        """A tool has given something with this text in it."""
        self._script.add(ExpectResult(output))
        return self

    @property
    def shown(self) -> list[Image]:
        """All pictures that came, in their order."""
        return list(self._script.shown)

    @property
    def spoken(self) -> list[Speech]:
        """All that was spoken, turn by turn."""
        return list(self._script.spoken)

    def emit(self, *events: ServerEvent) -> ScriptedRuntime:
        """Tell these events of `omnisdk.protocol.events` as they are, before the next answer."""
        for event in events:
            self._script.add(Emit(event))
        return self

    def say(
        self, text: str = "", *, image: Image | None = None, speech: Speech | None = None, lasts_s: float = 0.0
    ) -> ScriptedRuntime:
        """Answer with words, a picture, speech. lasts_s: how long it takes to be made, so that it can be cut short.

        Words and a picture form in four partials. Where the client wants speech and none is given, a hum stands for it,
        60 ms a letter.
        """
        self._script.add(Say(text, image, speech, lasts_s))
        return self

    def call(self, name: str, **arguments: object) -> ScriptedRuntime:
        """Answer with a call of a tool; with the name of a type, with an answer of that type."""
        self._script.add(Call(name, json.dumps(arguments)))
        return self

    def fail(self, message: str = "the script wants a failure") -> ScriptedRuntime:
        """Fail at the answer, as a server would."""
        self._script.add(Fail(message))
        return self

    def vanish(self) -> ScriptedRuntime:
        """Break the socket in place of an answer."""
        self._script.add(Vanish())
        return self

    def verify(self) -> None:
        """Raises ScriptError if something went otherwise than written, or some of the script was not used."""
        self._script.verify()

    async def _session(self, socket: ServerConnection) -> None:
        await ScriptedSession(self._script, socket).run()


def _given(value: T, kind: type[T], instead: str) -> T:
    if not isinstance(value, kind):
        raise OmniError(f"{value!r} came to be expected; give {instead}")
    return value


def scripted_runtime() -> Iterator[ScriptedRuntime]:
    """What the pytest fixture `scripted` does: a runtime for one test, its script checked at the end."""
    with ScriptedRuntime() as scripted:
        yield scripted
    scripted.verify()
