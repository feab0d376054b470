"""From the moment the server hears the user speak to the moment the answer he speaks into has ended.

The embedded model draws, and reads aloud, in many steps; once something is seen or heard of it, at a moment left to
chance, a recorded voice is sent at the pace of speech, and turn detection finds it. The time runs at the client, from
`input_audio_buffer.speech_started`, which the server sends as it cancels, to `response.done`, behind which no byte of
the answer comes. Only answers count that ended because of it. The baseline is a denoise step of the same answers, which
is what a cancel may have to wait for, and 50 ms for all the rest. Beside it stands the time from the voice's first
sound on: a chunk of 100 ms is sent when it is full, and detection wants two windows of 32 ms.
"""

import base64
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from runtime.benchmarks.session import SHIPPED_REQUEST, Runtime, omni_serve, read_request

CHUNK_S = 0.1
CHUNK_BYTES = int(48_000 * CHUNK_S)
SILENT_CHUNKS = 10  # behind the voice, so that its turn ends
QUIET = 100  # of 32,768: what is below is no voice
ALLOWED_MS = 50.0


@dataclass(frozen=True)
class Asked:
    """What is spoken into: the words asked with, the answer's settings, and what of it the user waits for."""

    words: str
    omni: dict[str, Any]
    first: str

    @property
    def item(self) -> dict[str, object]:
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": self.words}]}

    @property
    def settings(self) -> dict[str, object]:
        detection = {"type": "server_vad", "create_response": False}
        omni = {"partials": "tokens", **self.omni}
        return {"type": "realtime", "audio": {"input": {"turn_detection": detection}}, "omni": omni}


PICTURE = Asked("draw two red apples", {"output": ["image"], "steps": 100}, "omni.progress")
SPEECH = Asked(
    "two red apples on a blue background and three green pears on a yellow one and a dog in front of a house",
    {"output": ["speech"], "generation": {"speech": {"steps": 250}}},
    "response.output_audio.delta",
)


@dataclass(frozen=True)
class SilenceFigures:
    """Milliseconds at the client. ratio: the 95th percentile over a median step and 50 ms; at most 1 is wanted.

    sound_p95_ms: to the last sound of the answer; 0 where none came any more. voice_*: to the end of the answer, from
    the first sound of the user's voice. missed: answers that ended before they were spoken into.
    """

    ratio: float
    p50_ms: float
    p95_ms: float
    most_ms: float
    median_step_ms: float
    sound_p95_ms: float
    voice_p50_ms: float
    voice_p95_ms: float
    interruptions: int
    missed: int


@dataclass(frozen=True)
class BargeInFigures:
    """ratio: the greater of both."""

    ratio: float
    picture: SilenceFigures
    speech: SilenceFigures
    threads: int


@dataclass
class Waits:
    """Milliseconds of what was seen, as in SilenceFigures."""

    ends: list[float] = field(default_factory=list)
    sounds: list[float] = field(default_factory=list)
    voices: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    missed: int = 0

    def figures(self) -> SilenceFigures:
        if not self.ends:
            raise click.ClickException("no answer was interrupted; each ended before the voice was heard")
        step_ms, p95_ms = statistics.median(self.steps), _p95(self.ends)
        return SilenceFigures(
            ratio=p95_ms / (step_ms + ALLOWED_MS),
            p50_ms=statistics.median(self.ends),
            p95_ms=p95_ms,
            most_ms=max(self.ends),
            median_step_ms=step_ms,
            sound_p95_ms=_p95(self.sounds),
            voice_p50_ms=statistics.median(self.voices),
            voice_p95_ms=_p95(self.voices),
            interruptions=len(self.ends),
            missed=self.missed,
        )


@dataclass
class Heard:
    """One interruption, as it is seen: clock readings, 0 before they are known."""

    started: float = 0.0
    stepped: float = 0.0
    sounded: float = 0.0
    ended: float = 0.0
    status: str = ""
    turn_over: bool = False

    @property
    def over(self) -> bool:
        """The answer has ended, and the turn it was spoken into with is in the conversation."""
        return bool(self.ended) and self.turn_over


class Interrupter:
    """A session that is spoken into again and again. pcm: the voice, from its first sound on."""

    def __init__(self, socket: Connection, pcm: bytes, asked: Asked, rng: random.Random) -> None:
        self._socket, self._asked, self._rng = socket, asked, rng
        self._voice = [pcm[first : first + CHUNK_BYTES] for first in range(0, len(pcm), CHUNK_BYTES)]
        self._spoken_at = 0.0
        self._items: list[str] = []
        self.waits = Waits()
        self._send({"type": "session.update", "session": asked.settings})

    def interrupt(self) -> None:
        """Ask for an answer, speak into it, and wait until it ended and the turn is over."""
        self._send({"type": "conversation.item.create", "item": self._asked.item})
        self._send({"type": "response.create"})
        self._until(self._asked.first)
        heard = threading.Event()
        speaking = threading.Thread(target=self._speak, args=(heard,))
        speaking.start()
        self._note(self._listen(heard))
        speaking.join()
        self._forget()

    def _listen(self, heard: threading.Event) -> Heard:
        seen = Heard()
        for event, at in self._events():
            match event["type"]:
                case "omni.progress":
                    if seen.stepped and not seen.started:
                        self.waits.steps.append(1000 * (at - seen.stepped))
                    seen.stepped = at
                case "input_audio_buffer.speech_started":
                    seen.started = at
                    heard.set()
                case "response.output_audio.delta":
                    seen.sounded = at
                case "response.done":
                    seen.ended, seen.status = at, event["response"]["status"]
                case "conversation.item.done" if event["item"]["role"] == "user":
                    seen.turn_over = True  # it may come before the end: a step may be longer than the silence after it
            if seen.over:
                break
        return seen

    def _note(self, seen: Heard) -> None:
        if seen.status != "cancelled":
            self.waits.missed += 1
            return
        self.waits.ends.append(1000 * (seen.ended - seen.started))
        self.waits.sounds.append(1000 * max(0.0, seen.sounded - seen.started))
        self.waits.voices.append(1000 * (seen.ended - self._spoken_at))

    def _forget(self) -> None:
        """What was said, so that the conversation is as long each time."""
        items, self._items = self._items, []
        for item_id in items:
            self._send({"type": "conversation.item.delete", "item_id": item_id})
        for _ in items:
            self._until("conversation.item.deleted")

    def _speak(self, heard: threading.Event) -> None:
        """The voice until it is heard, then silence until the turn ends; each chunk when it is full."""
        time.sleep(self._rng.uniform(0, CHUNK_S))  # a voice begins at any moment of a step
        self._spoken_at = time.perf_counter()
        for chunk in self._voice:
            if heard.is_set():
                break
            self._say(chunk)
        for _ in range(SILENT_CHUNKS):
            self._say(bytes(CHUNK_BYTES))

    def _say(self, chunk: bytes) -> None:
        time.sleep(CHUNK_S)
        self._send({"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()})

    def _until(self, wanted: str) -> None:
        for event, _ in self._events():
            if event["type"] == wanted:
                return

    def _events(self) -> Iterator[tuple[dict[str, Any], float]]:
        while True:
            frame = self._socket.recv(timeout=120)
            at = time.perf_counter()
            event = json.loads(frame)
            if event["type"] == "error":
                raise click.ClickException(f"the runtime refused: {event['error']['message']}")
            if event["type"] == "response.done" and event["response"]["status"] == "failed":
                raise click.ClickException(
                    f"an answer failed: {event['response']['status_details']['error']['message']}"
                )
            if event["type"] == "conversation.item.added":
                self._items.append(event["item"]["id"])
            yield event, at

    def _send(self, event: dict[str, object]) -> None:
        self._socket.send(json.dumps(event))


def measure_barge_in(pcm: bytes, interruptions: int, threads: int) -> BargeInFigures:
    """So many of each kind of answer, in turns."""
    voice, rng = without_lead(pcm), random.Random(0)
    with Runtime(omni_serve(threads)) as runtime, _session(runtime) as drawing, _session(runtime) as talking:
        interrupters = [Interrupter(drawing, voice, PICTURE, rng), Interrupter(talking, voice, SPEECH, rng)]
        for interrupter in interrupters:
            interrupter.interrupt()  # the first one pays for what is made on first use
            interrupter.waits = Waits()
        for _ in range(interruptions):
            for interrupter in interrupters:
                interrupter.interrupt()
    picture, speech = (interrupter.waits.figures() for interrupter in interrupters)
    return BargeInFigures(max(picture.ratio, speech.ratio), picture, speech, threads)


def _session(runtime: Runtime) -> Connection:
    return connect(f"{runtime.url}?omni=1", subprotocols=[Subprotocol("omni.v1")], max_size=None)


def without_lead(pcm: bytes) -> bytes:
    """The voice from its first sound on."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > QUIET)
    return pcm[2 * int(loud[0]) :] if len(loud) else pcm


def _p95(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.95))


@click.command("barge-in")
@click.option("--interruptions", default=40, show_default=True, help="Of pictures, and of spoken answers.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def barge_in(interruptions: int, threads: int, json_file: Path | None) -> None:
    """How soon an answer ends that the user speaks into."""
    figures = measure_barge_in(read_request(SHIPPED_REQUEST), interruptions, threads)
    click.echo(f"{figures.threads} threads")
    for name, of in (("picture", figures.picture), ("speech", figures.speech)):
        click.echo(
            f"{name}: {of.interruptions} spoken into, {of.missed} that were over before\n"
            f"  speech heard to the end  p50 {of.p50_ms:6.1f}  p95 {of.p95_ms:6.1f}  most {of.most_ms:6.1f} ms, "
            f"to the last sound p95 {of.sound_p95_ms:.1f} ms\n"
            f"  first voice to the end   p50 {of.voice_p50_ms:6.1f}  p95 {of.voice_p95_ms:6.1f} ms\n"
            f"  a step                   p50 {of.median_step_ms:6.1f} ms\n"
            f"  ratio                    {of.ratio:.2f} of a step and {ALLOWED_MS:g} ms"
        )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
