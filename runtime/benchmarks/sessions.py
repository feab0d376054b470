"""Many sessions at a time, for long: how soon each is answered, in which order, and what memory does.

The network is played from a script, all else is real; the baseline is a bare websocket that sends back what comes,
asked by the same clients at the same moments. Each turn is deleted once it is answered, so that no conversation grows:
what memory grows by is what the server keeps beside them, or the C library's heap. The clients are our own: locust,
which plays `swarm`, tells times in whole milliseconds, and the echo takes less than one.
"""

import asyncio
import base64
import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runtime.benchmarks.cancel import resident_mb
from runtime.benchmarks.session import SHIPPED_REQUEST, Runtime, python_module, read_request

SERVER = "runtime.benchmarks.scripted_server"
CHUNK_S, SPEECH_S, MOST_PAUSE_S = 0.1, 1.0, 1.0
CHUNK_BYTES = int(48_000 * CHUNK_S)  # 24 kHz PCM16
MEMORY_EVERY_S = 5.0
WARM_SHARE = 0.25  # of the run, before memory is looked at
# Written answers, and turns that end where the client says.
SETTINGS = {
    "type": "session.update",
    "session": {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}},
}
# What clients rely on, in this order.
ORDER = (
    "input_audio_buffer.committed",
    "conversation.item.added",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
)


@dataclass(frozen=True)
class Spread:
    """Milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class SessionsFigures:
    """first_event, first_word, answer: from the end of speech. ping: of the sockets' keepalive.

    ratio: the 95th percentile of first_event over that of the echo. lost: sockets that ended before their time.
    misordered: turns whose events came otherwise than clients rely on. resident_*: of the server, MB, after a quarter
    of the run and at its end; growth_mb: in ten minutes, by the straight line through all from that quarter on.
    memory: what it was, as (second, MB).
    """

    ratio: float
    sessions: int
    minutes: float
    turns: int
    lost: int
    misordered: int
    echo: Spread
    first_event: Spread
    first_word: Spread
    answer: Spread
    ping: Spread
    resident_warm_mb: float
    resident_end_mb: float
    growth_mb: float
    memory: list[tuple[float, float]]


@dataclass
class Tally:
    """What all sessions saw. times_s: by what was waited for."""

    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    turns: int = 0
    lost: int = 0
    misordered: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)  # (second, MB)

    def spread(self, name: str) -> Spread:
        return Spread(
            *(1000 * float(np.quantile(self.times_s[name] or [np.nan], share)) for share in (0.5, 0.95, 0.99))
        )


def in_order(kinds: Sequence[str]) -> bool:
    """Whether each of ORDER came, and first after the one before it."""
    firsts = [kinds.index(kind) if kind in kinds else -1 for kind in ORDER]
    return -1 not in firsts and firsts == sorted(firsts) and kinds[-1] == ORDER[-1]


class Talker:
    """One session: it speaks at the pace of speech, asks, reads the answer, deletes what was said, and pauses."""

    def __init__(self, socket: ClientConnection, echo: ClientConnection, pcm: bytes, tally: Tally) -> None:
        self._socket, self._echo, self._tally = socket, echo, tally
        count = round(SPEECH_S / CHUNK_S)
        chunks = [pcm[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES] for index in range(count)]
        self._appends = [_append(chunk) for chunk in chunks]

    async def talk(self, until: float, rng: random.Random) -> None:
        await self._begin()
        while time.monotonic() < until:
            await asyncio.sleep(rng.uniform(0, MOST_PAUSE_S))
            await self._turn()
            await self._ping()

    async def _begin(self) -> None:
        await self._socket.recv()  # session.created
        await self._socket.send(json.dumps(SETTINGS))
        await self._socket.recv()  # session.updated

    async def _turn(self) -> None:
        for append in self._appends:
            await self._socket.send(append)
            await asyncio.sleep(CHUNK_S)
        await self._time_echo()
        spoken = time.perf_counter()
        await self._socket.send('{"type": "input_audio_buffer.commit"}')
        await self._socket.send('{"type": "response.create"}')
        kinds, items = await self._read_answer(spoken)
        self._tally.turns += 1
        self._tally.misordered += not in_order(kinds)
        for item_id in items:
            await self._socket.send(json.dumps({"type": "conversation.item.delete", "item_id": item_id}))
            await self._socket.recv()

    async def _read_answer(self, spoken: float) -> tuple[list[str], list[str]]:
        kinds: list[str] = []
        items: list[str] = []
        while not kinds or kinds[-1] != "response.done":
            event = json.loads(await self._socket.recv())
            kind, waited_s = event["type"], time.perf_counter() - spoken
            if not kinds:
                self._tally.times_s["first_event"].append(waited_s)
            if kind == "response.output_text.delta" and kind not in kinds:
                self._tally.times_s["first_word"].append(waited_s)
            if kind == "conversation.item.added":
                items.append(event["item"]["id"])
            kinds.append(kind)
        self._tally.times_s["answer"].append(waited_s)
        return kinds, items

    async def _time_echo(self) -> None:
        began = time.perf_counter()
        await self._echo.send('{"type": "input_audio_buffer.commit"}')
        await self._echo.recv()
        self._tally.times_s["echo"].append(time.perf_counter() - began)

    async def _ping(self) -> None:
        self._tally.times_s["ping"].append(await (await self._socket.ping()))


def _append(chunk: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()})


async def _session(url: str, echo_url: str, pcm: bytes, tally: Tally, until: float, index: int) -> None:
    try:
        async with connect(f"{url}/v1/realtime", compression=None) as socket, connect(echo_url) as echo:
            await Talker(socket, echo, pcm, tally).talk(until, random.Random(index))
    except (ConnectionClosed, OSError):
        tally.lost += 1


async def _watch(pid: int, tally: Tally) -> None:
    began = time.monotonic()
    while True:
        tally.memory.append((round(time.monotonic() - began, 1), round(resident_mb(pid), 1)))
        await asyncio.sleep(MEMORY_EVERY_S)


async def _run(url: str, echo_url: str, pid: int, pcm: bytes, sessions: int, seconds: float) -> Tally:
    tally, until = Tally(), time.monotonic() + seconds
    watching = asyncio.create_task(_watch(pid, tally))
    await asyncio.gather(*(_session(url, echo_url, pcm, tally, until, index) for index in range(sessions)))
    watching.cancel()
    return tally


def measure_sessions(pcm: bytes, sessions: int, minutes: float) -> SessionsFigures:
    with Runtime(python_module(SERVER, "scripted")) as runtime, Runtime(python_module(SERVER, "echo")) as echo:
        tally = asyncio.run(_run(runtime.url, echo.url, runtime.pid, pcm, sessions, 60 * minutes))
    return figures_of(tally, sessions, minutes)


def figures_of(tally: Tally, sessions: int, minutes: float) -> SessionsFigures:
    first_event, echo = tally.spread("first_event"), tally.spread("echo")
    warm = tally.memory[int(WARM_SHARE * len(tally.memory)) :]
    return SessionsFigures(
        ratio=first_event.p95_ms / echo.p95_ms,
        sessions=sessions,
        minutes=minutes,
        turns=tally.turns,
        lost=tally.lost,
        misordered=tally.misordered,
        echo=echo,
        first_event=first_event,
        first_word=tally.spread("first_word"),
        answer=tally.spread("answer"),
        ping=tally.spread("ping"),
        resident_warm_mb=warm[0][1],
        resident_end_mb=warm[-1][1],
        growth_mb=growth_mb(warm),
        memory=tally.memory,
    )


def growth_mb(memory: Sequence[tuple[float, float]]) -> float:
    """In ten minutes, by least squares."""
    if len(memory) < 2:
        return 0.0
    seconds, megabytes = zip(*memory, strict=True)
    return 600 * float(np.polyfit(seconds, megabytes, 1)[0])


@click.command("sessions")
@click.option("--sessions", "count", default=50, show_default=True)
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def sessions(count: int, minutes: float, json_file: Path | None) -> None:
    """Many sessions at once, the network played from a script: order, latency, keepalive, memory."""
    figures = measure_sessions(read_request(SHIPPED_REQUEST), count, minutes)
    click.echo(f"{figures.sessions} sessions, {figures.minutes:g} minutes, {figures.turns} turns")
    click.echo(f"lost {figures.lost}, out of order {figures.misordered}")
    for name in ("echo", "first_event", "first_word", "answer", "ping"):
        spread: Spread = getattr(figures, name)
        click.echo(f"{name:<12} p50 {spread.p50_ms:7.1f}  p95 {spread.p95_ms:7.1f}  p99 {spread.p99_ms:7.1f} ms")
    click.echo(
        f"resident     {figures.resident_warm_mb:.0f} MB after a quarter, {figures.resident_end_mb:.0f} MB at the end, "
        f"growing by {figures.growth_mb:+.1f} MB in ten minutes\n"
        f"ratio        {figures.ratio:.1f}, first event over echo at p95"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
