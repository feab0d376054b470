"""From the moment the server hears the user speak to the moment the answer he speaks into has ended.

The embedded model draws in many steps; a recorded voice is sent at the pace of speech, and turn detection finds it. The
baseline is a denoise step of the same answers, which is what a cancel may have to wait for, and 50 ms for all the rest.
"""

import base64
import json
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from runtime.benchmarks.session import SHIPPED_REQUEST, Runtime, omni_serve, read_request

CHUNK_S = 0.1
CHUNK_BYTES = int(48_000 * CHUNK_S)
ALLOWED_MS = 50.0
STEPS = 100
SETTINGS = {
    "type": "realtime",
    "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}},
    "omni": {"output": ["image"], "partials": "tokens", "steps": STEPS},
}
ASKED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "draw two red apples"}]}


@dataclass(frozen=True)
class BargeInFigures:
    """Milliseconds at the client. ratio: the 95th percentile over a median step and 50 ms; at most 1 is wanted."""

    ratio: float
    p50_ms: float
    p95_ms: float
    most_ms: float
    median_step_ms: float
    interruptions: int
    threads: int


class Interrupter:
    """A session that is spoken into again and again. waits_ms, steps_ms: what was found."""

    def __init__(self, socket: Connection, pcm: bytes) -> None:
        self._socket, self._pcm = socket, pcm
        self.waits_ms: list[float] = []
        self.steps_ms: list[float] = []
        self._items: list[str] = []
        self._send({"type": "session.update", "session": SETTINGS})

    def interrupt(self) -> None:
        """Ask for an answer, speak into it, and wait until it ended and the turn is over."""
        self._send({"type": "conversation.item.create", "item": ASKED})
        self._send({"type": "response.create"})
        self._until("omni.progress")
        quiet = threading.Event()
        speaking = threading.Thread(target=self._speak, args=(quiet,))
        speaking.start()
        started = ended = told = 0.0
        committed = False
        for kind, at in self._events():
            if kind == "omni.progress" and told and not started:
                self.steps_ms.append(1000 * (at - told))
            told = at if kind == "omni.progress" else told
            if kind == "input_audio_buffer.speech_started":
                started = at
                quiet.set()
            if kind == "response.done":
                ended = at
            committed = committed or kind == "input_audio_buffer.committed"
            if ended and committed:  # a step may take longer than the silence after a turn
                break
        speaking.join()
        if started and ended:
            self.waits_ms.append(1000 * max(0.0, ended - started))
        self._forget()

    def _forget(self) -> None:
        """What was said, so that the conversation is as long each time."""
        for item_id in self._items:
            self._send({"type": "conversation.item.delete", "item_id": item_id})
        for _ in range(len(self._items)):
            self._until("conversation.item.deleted")
        self._items.clear()

    def _speak(self, quiet: threading.Event) -> None:
        """The voice at the pace of speech until it is heard, then silence until the turn ends."""
        voice = [self._pcm[first : first + CHUNK_BYTES] for first in range(0, len(self._pcm), CHUNK_BYTES)]
        left = 10
        for chunk in voice:
            silent = quiet.is_set()
            left -= silent
            self._send(_append(bytes(CHUNK_BYTES) if silent else chunk))
            if not left:
                return
            time.sleep(CHUNK_S)

    def _until(self, wanted: str) -> None:
        for kind, _ in self._events():
            if kind == wanted:
                return

    def _events(self) -> Iterator[tuple[str, float]]:
        while True:
            event = json.loads(self._socket.recv(timeout=120))
            if event["type"] == "error":
                raise click.ClickException(f"the runtime refused: {event['error']['message']}")
            if event["type"] == "response.done" and event["response"]["status"] == "failed":
                raise click.ClickException(
                    f"an answer failed: {event['response']['status_details']['error']['message']}"
                )
            if event["type"] == "conversation.item.added":
                self._items.append(event["item"]["id"])
            yield event["type"], time.perf_counter()

    def _send(self, event: dict[str, object]) -> None:
        self._socket.send(json.dumps(event))


def _append(chunk: bytes) -> dict[str, object]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}


def measure_barge_in(pcm: bytes, interruptions: int, threads: int) -> BargeInFigures:
    with (
        Runtime(omni_serve(threads)) as runtime,
        connect(f"{runtime.url}?omni=1", subprotocols=[Subprotocol("omni.v1")], max_size=None) as socket,
    ):
        interrupter = Interrupter(socket, pcm)
        interrupter.interrupt()  # the first one pays for what is made on first use
        interrupter.waits_ms.clear()
        for _ in range(interruptions):
            interrupter.interrupt()
    waits_ms, step_ms = interrupter.waits_ms, statistics.median(interrupter.steps_ms)
    p95_ms = float(np.quantile(waits_ms, 0.95))
    return BargeInFigures(
        ratio=p95_ms / (step_ms + ALLOWED_MS),
        p50_ms=statistics.median(waits_ms),
        p95_ms=p95_ms,
        most_ms=max(waits_ms),
        median_step_ms=step_ms,
        interruptions=len(waits_ms),
        threads=threads,
    )


@click.command("barge-in")
@click.option("--interruptions", default=40, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def barge_in(interruptions: int, threads: int, json_file: Path | None) -> None:
    """How soon an answer ends that the user speaks into."""
    figures = measure_barge_in(read_request(SHIPPED_REQUEST), interruptions, threads)
    click.echo(
        f"{figures.interruptions} answers spoken into, {figures.threads} threads\n"
        f"speech heard to the end   median {figures.p50_ms:.1f} ms, 95 % within {figures.p95_ms:.1f} ms, "
        f"most {figures.most_ms:.1f} ms\n"
        f"a step                    median {figures.median_step_ms:.1f} ms\n"
        f"ratio                     {figures.ratio:.2f} of a step and {ALLOWED_MS:g} ms"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
