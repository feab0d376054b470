"""Real sessions written down, and played again: a test of an assistant with the answers of a real model.

with record("lights.jsonl", "ws://127.0.0.1:8765") as runtime:    # once, with a server that runs
    turn_off_the_lights(Client(runtime.url))
with replay("lights.jsonl") as runtime:                           # from then on, without
    turn_off_the_lights(Client(runtime.url))
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from omnisdk.connecting import realtime_url
from omnisdk.errors import OmniError
from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES
from omnisdk.testing.script import ScriptError
from omnisdk.testing.serving import SocketServer

APPEND = "input_audio_buffer.append"  # its pieces fall as they like, so they are not compared
MAX_SHOWN = 80
IDS = ("id", "_id")  # how names of values end that are chosen anew each time
Json = Any


@dataclass(frozen=True)
class Line:
    """One event of a recording. session: which socket, from 0."""

    session: int
    sender: Literal["client", "server"]
    event: dict[str, Json]


def record(path: str | Path, url: str, *, api_key: str | None = None) -> Recorder:
    """A server between a client and the one at `url` that writes down all that they say. The key is not written."""
    return Recorder(Path(path), url, api_key)


def replay(path: str | Path) -> Replay:
    """A server that says again what a recorded one said, as long as the client says the same as then.

    Ids may differ, and sound is not compared. Left, it raises ScriptError for what was said otherwise, or was not said.
    """
    return Replay(Path(path))


class Recorder(SocketServer):
    """See `record`."""

    def __init__(self, path: Path, url: str, api_key: str | None) -> None:
        super().__init__(self._session)
        self._path, self._upstream, self._api_key = path, realtime_url(url), api_key
        self._file: TextIOWrapper | None = None
        self._num_sessions = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8")
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        assert self._file is not None
        self._file.close()

    async def _session(self, client: ServerConnection) -> None:
        session, self._num_sessions = self._num_sessions, self._num_sessions + 1
        async with connect(
            self._upstream,
            subprotocols=[client.subprotocol] if client.subprotocol else None,
            additional_headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else None,
            max_size=MAX_INBOUND_FRAME_BYTES,
            proxy=None,
        ) as server:
            ways = [
                asyncio.create_task(self._pass_on(session, "client", client, server)),
                asyncio.create_task(self._pass_on(session, "server", server, client)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, session: int, sender: Literal["client", "server"], source: Any, target: Any) -> None:
        with suppress(websockets.ConnectionClosed):
            async for frame in source:
                assert self._file is not None
                line = {"session": session, "from": sender, "event": json.loads(frame)}
                self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
                await target.send(frame)


class Replay(SocketServer):
    """See `replay`."""

    def __init__(self, path: Path) -> None:
        super().__init__(self._session)
        self._sessions = _sessions(path)
        self._num_begun = 0
        self._problems: list[str] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            self.verify()

    def verify(self) -> None:
        """Raises ScriptError if a client said something else than was recorded, or not all of it."""
        problems = [*self._problems]
        if self._num_begun < len(self._sessions):
            problems.append(f"{len(self._sessions)} sessions were recorded, {self._num_begun} were opened")
        if problems:
            raise ScriptError("; ".join(problems))

    async def _session(self, socket: ServerConnection) -> None:
        number, self._num_begun = self._num_begun, self._num_begun + 1
        if number >= len(self._sessions):
            self._problems.append(f"{len(self._sessions)} sessions were recorded; one more was opened")
            return
        with suppress(websockets.ConnectionClosed):
            problem = await _played(socket, self._sessions[number])
            if problem is not None:
                self._problems.append(f"session {number}, {problem}")
                error = {"type": "invalid_request_error", "code": "not_recorded", "message": problem}
                await socket.send(json.dumps({"type": "error", "event_id": "replay", "error": error}))


async def _played(socket: ServerConnection, lines: list[Line]) -> str | None:
    """Say what the server said, each thing once the client has said what came before it. What went otherwise."""
    ids: dict[str, str] = {}  # recorded: of now
    for number, line in enumerate(lines):
        if line.sender == "server":
            await socket.send(_renamed(json.dumps(line.event), ids))
            continue
        try:
            came = await _next_said(socket)
        except websockets.ConnectionClosed:
            return f"event {number}: the client left; it said {_shown(line.event)} when it was recorded"
        difference = next(_differences(line.event, came, "", ids), None)
        if difference is not None:
            return f"event {number} ({line.event.get('type')}): {difference}; record it anew if that is right"
    with suppress(websockets.ConnectionClosed):
        came = await _next_said(socket)
        return f"the recording is over, and the client said {_shown(came)}; record it anew if that is right"
    return None


async def _next_said(socket: ServerConnection) -> dict[str, Json]:
    """The client's next event that is no sound."""
    while True:
        event: dict[str, Json] = json.loads(await socket.recv())
        if event.get("type") != APPEND:
            return event


def _differences(recorded: Json, came: Json, path: str, ids: dict[str, str]) -> Iterator[str]:
    """What is not the same; ids that were chosen anew are noted."""
    if isinstance(recorded, dict) and isinstance(came, dict):
        for name in dict.fromkeys([*recorded, *came]):
            place = f"{path}.{name}" if path else name
            if name in recorded and name in came:
                yield from _differences(recorded[name], came[name], place, ids)
            else:
                before, now = ("is", "left out") if name in recorded else ("was not", "there")
                yield f"{place} {before} in the recording, now it is {now}"
    elif isinstance(recorded, list) and isinstance(came, list) and len(recorded) == len(came):
        for index, (old, new) in enumerate(zip(recorded, came, strict=True)):
            yield from _differences(old, new, f"{path}[{index}]", ids)
    elif isinstance(recorded, str) and isinstance(came, str) and path.endswith(IDS):
        if ids.setdefault(recorded, came) != came:
            yield f"{path} was {recorded!r}, the same as before; now it is {came!r}"
    elif recorded != came and not path.endswith(".audio"):
        yield f"{path} was {_shown(recorded)}, now it is {_shown(came)}"


def _renamed(told: str, ids: dict[str, str]) -> str:
    for recorded, now in ids.items():
        if recorded != now:
            told = told.replace(json.dumps(recorded), json.dumps(now))
    return told


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _sessions(path: Path) -> list[list[Line]]:
    """The events of each session that are compared or told. Raises OmniError."""
    try:
        lines = [_line(text) for text in path.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        raise OmniError(f"there is no recording {path}; make it with record(...)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OmniError(f"{path} is no whole recording ({error}); make it anew with record(...)") from None
    if not lines:
        raise OmniError(f"{path} holds no session; make it anew with record(...)")
    kept = [line for line in lines if line.event.get("type") != APPEND]
    return [[line for line in kept if line.session == number] for number in sorted({line.session for line in lines})]


def _line(text: str) -> Line:
    read = json.loads(text)
    event = read["event"]
    if read["from"] not in ("client", "server") or not isinstance(event, dict):
        raise ValueError(f"a line from {read['from']!r} came")
    return Line(int(read["session"]), read["from"], event)
