"""What a partial costs between the engine and the client, beside the denoise step that made it; `omni bench wire`.

The partials are those of a picture that the model draws in this run, painted beforehand. Each is put into an outbox,
encoded, sent through the server over a socket of this machine, received by the SDK's websocket library and decoded. All
of it happens in one thread, so that the time from one end to the other is the work of both sides.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect

from omnisdk.protocol import wire
from omnisdk.protocol.events import ResponseOutputAudioDelta, ServerEvent
from omnisdk.protocol.limits import BYTES_PER_SECOND
from runtime.benchmarks.cancel import ask
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput, Started, StepOutput
from runtime.engine.request import GenerationRequest
from runtime.executors.in_process import InProcessExecutor
from runtime.server.event_socket import EventSocket, send_events
from runtime.server.frames import frame_bytes, framed
from runtime.server.outbox import Outbox
from runtime.server.partials import PartialStream
from runtime.server.serving import Server, bind, url_of
from runtime.server.settings import ServerSettings
from runtime.server.sound import CHUNK_S

Partial = Sequence[ServerEvent]


@dataclass(frozen=True)
class FormFigures:
    """Medians a partial, in milliseconds. total_ms: from the outbox to the last decoded event of it.

    sound_ms: encoding and decoding two seconds of speech, of `sound_bytes` in a frame.
    """

    total_ms: float
    encode_ms: float
    decode_ms: float
    bytes: float
    sound_ms: float
    sound_bytes: int


@dataclass(frozen=True)
class WireFigures:
    """ratio: a partial in MessagePack, which the SDK speaks, over a denoise step of the same run; json_ratio: in JSON.

    step_ms: its processor time; partials are timed by the clock. events: of a partial, each a frame of its own.
    """

    ratio: float
    json_ratio: float
    step_ms: float
    json: FormFigures
    msgpack: FormFigures
    events: float
    partials: int
    threads: int


class Loopback:
    """An outbox at one end of a real connection, a client at the other."""

    def __init__(self, binary: bool) -> None:
        self.outbox = Outbox(max_unsent=64)
        self._binary = binary
        self._listener = bind("127.0.0.1", 0, ServerSettings())
        self._server = Server(Starlette(routes=[WebSocketRoute("/", self._serve)]))

    async def _serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = EventSocket(websocket, binary=self._binary)
        sending = asyncio.create_task(send_events(socket, self.outbox, socket.encode))
        await websocket.receive()  # that the client is gone
        sending.cancel()

    async def __aenter__(self) -> "Loopback":
        self._serving = asyncio.create_task(self._server.serve([self._listener]))
        self._client: ClientConnection = await connect(url_of(self._listener), compression=None, proxy=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        self._server.should_exit = True
        await self._serving

    async def milliseconds(self, partial: Partial) -> float:
        """From the outbox to the last decoded event."""

        async def render() -> Partial:
            return partial

        began = time.perf_counter()
        self.outbox.put_partial("response", render)
        for _ in partial:
            wire.decode_server_event(await self._client.recv())
        return 1000 * (time.perf_counter() - began)


async def measure_wire(model: OmniModel, pictures: int = 12) -> WireFigures:
    """The partials of a picture are sent once after each of `pictures` pictures, in both forms in turns."""
    steps_ms: list[float] = []
    totals: dict[bool, list[float]] = {False: [], True: []}
    async with Loopback(binary=False) as text, Loopback(binary=True) as packed:
        for index in range(pictures + 1):
            times_ms, outputs = drawn(model)
            partials = await rendered(outputs)
            sent = {
                binary: [await loopback.milliseconds(partial) for partial in partials]
                for binary, loopback in ((False, text), (True, packed))
            }
            if index:  # the first one warms up
                steps_ms += times_ms
                for binary, times in sent.items():
                    totals[binary] += times
    step_ms = statistics.median(steps_ms)
    as_json, as_msgpack = (_figures(partials, totals[binary], binary) for binary in (False, True))
    return WireFigures(
        ratio=as_msgpack.total_ms / step_ms,
        json_ratio=as_json.total_ms / step_ms,
        step_ms=step_ms,
        json=as_json,
        msgpack=as_msgpack,
        events=statistics.mean(map(len, partials)),
        partials=len(totals[True]),
        threads=torch.get_num_threads(),
    )


def drawn(model: OmniModel) -> tuple[list[float], list[EngineOutput]]:
    """The milliseconds of each step of a picture, and all that the engine told.

    In processor time of this thread: where others want the processor too, a step waits much longer than a partial, and
    the ratio would flatter. With more threads it is the share of this one.
    """
    outputs: list[EngineOutput] = []
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone, "float32"), start=False)
    engine.submit(_with_partials(model), outputs.append)
    engine.run_commands()
    engine.admit_next()
    times_ms = []
    while engine.num_active:
        began = time.thread_time()
        engine.step()
        times_ms.append(1000 * (time.thread_time() - began))
    engine.close()
    return times_ms[:-1], outputs  # the last step finishes the picture, which is no step's work


def _with_partials(model: OmniModel) -> GenerationRequest:
    request = ask(model, 0)
    return GenerationRequest(request.request_id, request.turns, request.recipe, request.seed, partial_every=1)


async def rendered(outputs: Sequence[EngineOutput]) -> list[Partial]:
    """What a client with the extension is told after each step."""
    started = next(output for output in outputs if isinstance(output, Started))
    stream = PartialStream("canvas_1", "response_1", started.slots, "both")
    return [await stream.render(output) for output in outputs if isinstance(output, StepOutput)]


def _figures(partials: Sequence[Partial], totals: Sequence[float], binary: bool) -> FormFigures:
    frames = [[framed(event, binary) for event in partial] for partial in partials]
    sound = ResponseOutputAudioDelta(
        response_id="response_1", item_id="item_1", output_index=0, content_index=0, delta=_noise(CHUNK_S)
    )
    sound_frame = framed(sound, binary)
    return FormFigures(
        total_ms=statistics.median(totals),
        encode_ms=_median_ms(lambda: [[framed(event, binary) for event in partial] for partial in partials])
        / len(partials),
        decode_ms=_median_ms(lambda: [list(map(wire.decode_server_event, told)) for told in frames]) / len(partials),
        bytes=statistics.mean(sum(map(frame_bytes, told)) for told in frames),
        sound_ms=_median_ms(lambda: wire.decode_server_event(framed(sound, binary))),
        sound_bytes=frame_bytes(sound_frame),
    )


def _noise(seconds: float) -> bytes:
    return torch.randint(0, 256, (int(seconds * BYTES_PER_SECOND),), dtype=torch.uint8).numpy().tobytes()


def _median_ms(work: Callable[[], object], repeats: int = 50) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


@click.command("wire")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--pictures", default=12, show_default=True, help="Pictures whose partials are sent.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def wire_command(folder: Path | None, pictures: int, threads: int, json_file: Path | None) -> None:
    """A partial's way to the client, beside a denoise step; JSON beside MessagePack."""
    torch.set_num_threads(threads)
    figures = asyncio.run(measure_wire(load_model(folder or EMBEDDED), pictures))
    click.echo(
        f"a denoise step           {figures.step_ms:.1f} ms, {figures.threads} threads\n"
        f"a partial, {figures.events:.1f} events    {'all of it':>12} {'encode':>9} {'decode':>9} {'bytes':>9} "
        f"{'2 s of sound':>22}"
    )
    for name, form in (("JSON", figures.json), ("MessagePack", figures.msgpack)):
        click.echo(
            f"  {name:22} {form.total_ms:9.3f} ms {form.encode_ms:6.3f} ms {form.decode_ms:6.3f} ms {form.bytes:9.0f} "
            f"{form.sound_ms:8.3f} ms {form.sound_bytes:8} B"
        )
    click.echo(f"ratio                    {figures.ratio:.4f} in MessagePack, {figures.json_ratio:.4f} in JSON")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
