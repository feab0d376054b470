"""`omni bench-sdk`: importing, connecting, calling a tool, watching partials; each beside a baseline of its run."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from omnisdk import Agent, AsyncClient, Called, ToolCall, ToolContext, tool

PARTIALS_PER_SECOND = 1000.0
STANDS_ON = "import asyncio, msgspec, numpy, PIL.Image, pydantic.main, websockets.asyncio.client"
SUBPROTOCOLS = [Subprotocol("omni.v1")]


@dataclass(frozen=True)
class Beside:
    """Milliseconds of ours and of the baseline, medians; ratio: ours / baseline, more: ours - baseline."""

    ours_ms: float
    baseline_ms: float
    baseline: str

    @property
    def ratio(self) -> float:
        return self.ours_ms / self.baseline_ms if self.baseline_ms else float("inf")

    @property
    def more_ms(self) -> float:
        return self.ours_ms - self.baseline_ms


@dataclass(frozen=True)
class Partials:
    """Of a stream at a pace: the share a loop saw, and how old they were when it saw them, beside a bare socket's."""

    per_second: float
    sent: int
    seen: int
    lag_p50_ms: float
    lag_p99_ms: float
    bare_lag_p50_ms: float
    bare_lag_p99_ms: float

    @property
    def ratio(self) -> float:
        return self.lag_p99_ms / self.bare_lag_p99_ms


@contextmanager
def far_side(partials: int) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "clients.benchmarks.far_side", str(partials), str(PARTIALS_PER_SECOND)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield json.loads(child.stdout.readline())["url"]
        child.stdin.close()


# Importing


def importing(repeats: int, ours: str, baseline: str) -> Beside:
    """In turns, wall time of a whole Python that runs one line or the other."""
    times = [(_run_python(ours), _run_python(baseline)) for _ in range(repeats)]
    ours_ms, baseline_ms = (statistics.median(one) for one in zip(*times, strict=True))
    return Beside(ours_ms, baseline_ms, f"python -c {baseline!r}")


def _run_python(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begun) * 1000


# Connecting


async def connecting(url: str, repeats: int) -> Beside:
    """Until a session is open and told its settings, beside a bare socket until its first frame came back."""
    client = AsyncClient(url, wire="json")

    async def ours() -> None:
        async with client, client.session():
            pass

    async def bare() -> None:
        async with connect(f"{url}/echo", subprotocols=SUBPROTOCOLS, compression=None, proxy=None) as socket:
            await socket.send("hello")
            await socket.recv()

    return await _beside(ours, bare, repeats, "bare websocket: connect, echo, close")


# Calling a tool


@tool
async def set_light(room: str, on: bool) -> str:
    """Turn a light on or off."""
    return f"{room}: {on}"


async def calling(repeats: int) -> Beside:
    """Arguments read and checked, hooks run, the function called, its output told; beside the function alone."""
    agent, arguments = Agent(AsyncClient("ws://127.0.0.1:1"), tools=[set_light]), '{"room": "hall", "on": true}'
    agent.hook.tool.before(lambda call: None)
    agent.hook.tool.after(lambda call, called: None)
    call = ToolCall("set_light", arguments, "call_1")

    async def run(call: ToolCall) -> Called:
        return Called(call, await set_light.run(call.arguments, ToolContext(call.call_id, call.name)))

    async def ours() -> None:
        await agent.hook.tool.run(call, run)

    async def bare() -> None:
        await set_light.function(**json.loads(arguments))

    return await _beside(ours, bare, repeats, "json.loads and the function")


def declaring(repeats: int) -> float:
    """Milliseconds to make a tool of a function, schema and all; once a program."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        assert tool(set_light.function).schema
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


# Watching


async def watching(url: str, sent: int) -> Partials:
    """A loop over partials, and a bare socket that decodes the same frames as JSON and nothing else."""
    async with AsyncClient(url, wire="json") as client, client.session() as session:
        lags = [_lag_ms(partial.text) async for partial in session.respond()]
    bare = await _bare_lags(url)
    ours_p50, ours_p99, bare_p50, bare_p99 = *_percentiles(lags), *_percentiles(bare)
    return Partials(PARTIALS_PER_SECOND, sent, len(lags), ours_p50, ours_p99, bare_p50, bare_p99)


async def _bare_lags(url: str) -> list[float]:
    lags, text = [], ""
    async with connect(f"{url}/v1/realtime", subprotocols=SUBPROTOCOLS, compression=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "response.create"}))
        while (event := json.loads(await socket.recv()))["type"] != "response.done":
            if event["type"] == "omni.text.partial":
                text = event["text"]
            elif event["type"] == "omni.progress":
                lags.append(_lag_ms(text))
    return lags


def _lag_ms(sent_ns: str) -> float:
    return (time.monotonic_ns() - int(sent_ns)) / 1e6


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


async def _beside(
    ours: Callable[[], Awaitable[None]], bare: Callable[[], Awaitable[None]], repeats: int, baseline: str
) -> Beside:
    """Medians, in turns; the first of each is not counted."""
    await ours()
    await bare()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for work, taken in zip((ours, bare), times, strict=True):
            begun = time.perf_counter()
            await work()
            taken.append((time.perf_counter() - begun) * 1000)
    return Beside(statistics.median(times[0]), statistics.median(times[1]), baseline)


def measure(repeats: int, partials: int) -> dict[str, dict[str, object]]:
    """All figures by name."""
    with far_side(partials) as url:
        beside = {
            "import": importing(repeats, "import omnisdk", "pass"),
            # Nothing is loaded until it is used; then what is used comes with the packages that it stands on.
            "first use": importing(repeats, "from omnisdk import Client", STANDS_ON),
            "connect": asyncio.run(connecting(url, repeats)),
            "tool call": asyncio.run(calling(repeats * 50)),
        }
        watched = asyncio.run(watching(url, partials))
    told: dict[str, dict[str, object]] = {
        name: {**asdict(figure), "ratio": figure.ratio, "more_ms": figure.more_ms} for name, figure in beside.items()
    }
    told["tool call"]["declare_ms"] = declaring(repeats)
    return {**told, "partials": {**asdict(watched), "ratio": watched.ratio}}


@click.command("bench-sdk")
@click.option("--repeats", default=20, show_default=True, help="Of each measurement, in turns with its baseline.")
@click.option("--partials", default=3000, show_default=True, help="How many are watched, at 1,000 a second.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def bench_sdk(repeats: int, partials: int, json_file: Path | None) -> None:
    """What the SDK costs: import, connect, tool call, partials."""
    told = measure(repeats, partials)
    for name, figures in told.items():
        shown = (
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()
        )
        click.echo(f"{name}: {', '.join(shown)}")
    if json_file is not None:
        json_file.write_text(json.dumps(told, indent=2) + "\n")
