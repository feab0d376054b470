"""A whole session as a client meets it: cold start, a request, the picture, a spoken answer; `omni bench session`.

The runtime is a child process, the client a bare websocket, so nothing is measured that a user would not wait for. The
baseline is the same request with partials off.
"""

import base64
import json
import statistics
import subprocess
import sys
import time
import wave
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from websockets.sync.client import connect
from websockets.sync.connection import Connection

# A file of the distribution, not a module: what a newcomer says first is what is measured.
SHIPPED_REQUEST = Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"
SECOND_BYTES = 48_000  # of 24 kHz PCM16
STOP_S = 30.0  # a server may let answers finish for 10 s, and clients take their leave
RECOGNISED_S = 2  # of speech, in what is only written down
GREETING = "how are you"
AT_MOST: Mapping[str, float] = {  # what is wanted of the embedded model on one core
    "ready_s": 5.0,
    "picture_s": 1.0,
    "recognised_s": 0.3,
    "first_sound_s": 0.8,
    "resident_mb": 700.0,
}


@dataclass(frozen=True)
class TurnTimes:
    """Seconds from the end of what was said. first_sound_s: of an answer that is spoken."""

    first_partial_s: float | None
    first_sound_s: float | None
    picture_s: float
    done_s: float
    partials: int
    steps: int


@dataclass(frozen=True)
class SessionFigures:
    """ready_s: from starting the process to its first accepted connection. resident_mb: the peak over the run.

    recognised_s: from the end of two seconds of speech to what was heard, with no other answer. first_sound_s: of the
    spoken answer to a greeting, none of a model without a voice.
    ratio: time to the finished answer with partials, beside without.
    """

    ready_s: float
    first_partial_s: float
    picture_s: float
    done_s: float
    done_without_partials_s: float
    recognised_s: float
    first_sound_s: float | None
    ratio: float
    steps: int
    partials: int
    resident_mb: float
    turns: int


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module as a program."""
    return [sys.executable, "-m", name, *arguments]


def omni_serve(threads: int | None) -> list[str]:
    """The command that serves the embedded model on a free port."""
    options = ("--threads", str(threads)) if threads else ()
    return python_module("runtime.cli", "serve", "--port", "0", "--ready-json", *options)


class Runtime:
    """A server as a child process, whose command prints its address as JSON when it is ready."""

    def __init__(self, command: list[str]) -> None:
        started = time.monotonic()
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise click.ClickException("the runtime ended before it was ready; run `omni serve` to see why")
        self.url: str = json.loads(line)["url"]
        self.ready_s = time.monotonic() - started

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        try:
            self._child.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired as late:
            self._child.kill()
            self._child.communicate()
            raise click.ClickException(f"the runtime had not ended {STOP_S:g} s after SIGTERM") from late

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def peak_resident_mb(self) -> float:
        """Linux only; 0 elsewhere."""
        status = Path(f"/proc/{self._child.pid}/status")
        if not status.exists():
            return 0.0
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


def spoken_turn(socket: Connection, pcm: bytes, **omni: object) -> TurnTimes:
    """Say `pcm` (24 kHz PCM16), ask for an answer of these settings and read it to its end."""
    for start in range(0, len(pcm), SECOND_BYTES):
        chunk = base64.b64encode(pcm[start : start + SECOND_BYTES]).decode()
        _send(socket, {"type": "input_audio_buffer.append", "audio": chunk})
    spoken = time.monotonic()
    _send(socket, {"type": "input_audio_buffer.commit"})
    return _answered(socket, spoken, omni)


def written_turn(socket: Connection, text: str, **omni: object) -> TurnTimes:
    """The same, of words."""
    content = [{"type": "input_text", "text": text}]
    written = time.monotonic()
    item = {"type": "message", "role": "user", "content": content}
    _send(socket, {"type": "conversation.item.create", "item": item})
    return _answered(socket, written, omni)


def _send(socket: Connection, event: dict[str, object]) -> None:
    socket.send(json.dumps(event))


def _answered(socket: Connection, since: float, omni: dict[str, object]) -> TurnTimes:
    _send(socket, {"type": "response.create", "response": {"omni": omni}})
    first = sound = picture = None
    num_partials = steps = 0
    while True:
        event = json.loads(socket.recv(timeout=120))
        now = time.monotonic() - since
        match event["type"]:
            case "omni.canvas.delta":
                num_partials += 1
                first = first or now
            case "response.output_audio.delta":
                sound = sound or now
            case "omni.image.done":
                picture = now
            case "omni.canvas.done":
                steps = event["steps"]
            case "error":
                raise click.ClickException(f"the runtime refused the turn: {event['error']['message']}")
            case "response.done":
                return TurnTimes(first, sound, picture or now, now, num_partials, steps)


def measure_session(pcm: bytes, turns: int, threads: int | None) -> SessionFigures:
    """Medians over `turns` turns of each kind, interleaved."""
    with Runtime(omni_serve(threads)) as runtime, connect(f"{runtime.url}?omni=1", subprotocols=["omni.v1"]) as socket:  # type: ignore[list-item]
        speaks = _speaks(socket)
        spoken_turn(socket, pcm, partials="both")  # the first one pays for what is made on first use
        shown, hidden, heard, aloud = [], [], [], []
        for _ in range(turns):
            shown.append(spoken_turn(socket, pcm, partials="both"))
            hidden.append(spoken_turn(socket, pcm, partials="off"))
            heard.append(spoken_turn(socket, pcm[: RECOGNISED_S * SECOND_BYTES], output=["text"]))
            if speaks:
                aloud.append(written_turn(socket, GREETING, output=["text", "speech"]))
        done, bare = (statistics.median(t.done_s for t in times) for times in (shown, hidden))
        return SessionFigures(
            ready_s=runtime.ready_s,
            first_partial_s=statistics.median(t.first_partial_s or t.done_s for t in shown),
            picture_s=statistics.median(t.picture_s for t in shown),
            done_s=done,
            done_without_partials_s=bare,
            recognised_s=statistics.median(t.done_s for t in heard),
            first_sound_s=statistics.median(t.first_sound_s or t.done_s for t in aloud) if aloud else None,
            ratio=done / bare,
            steps=shown[0].steps,
            partials=round(statistics.median(t.partials for t in shown)),
            resident_mb=runtime.peak_resident_mb,
            turns=turns,
        )


def _speaks(socket: Connection) -> bool:
    """Whether the model has a voice, as it tells when the session is opened."""
    while True:
        event = json.loads(socket.recv(timeout=30))
        if event["type"] == "omni.session.capabilities":
            return "speech" in event["modalities_out"]


def as_lines(figures: SessionFigures) -> list[str]:
    """Each figure, beside what is wanted."""
    lines = []
    for name, value in asdict(figures).items():
        told = f"{value:.3f}" if isinstance(value, float) else str(value)
        lines.append(f"{name:<26} {told:<10}" + (f" wanted: at most {AT_MOST[name]:g}" if name in AT_MOST else ""))
    return lines


def read_request(wav: Path) -> bytes:
    """24 kHz mono PCM16 samples. Raises click.ClickException for any other file."""
    try:
        with wave.open(str(wav)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (24_000, 1, 2):
                raise click.ClickException(f"{wav} is not 24 kHz mono PCM16; convert it, or give another with --wav")
            return bytes(file.readframes(file.getnframes()))
    except (OSError, wave.Error, EOFError) as error:
        raise click.ClickException(f"{wav} cannot be read as WAV ({error}); give a recording with --wav") from None


@click.command("session")
@click.option(
    "--wav",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A spoken request, 24 kHz mono PCM16.  [default: the one that ships with the terminal client]",
)
@click.option("--turns", default=5, show_default=True)
@click.option("--threads", type=int, help="Threads of the forward pass.  [default: torch's choice]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def session(wav: Path | None, turns: int, threads: int | None, json_file: Path | None) -> None:
    """Cold start, first partial, picture, recognition, first sound and memory of the embedded runtime."""
    figures = measure_session(read_request(wav or SHIPPED_REQUEST), turns, threads)
    for line in as_lines(figures):
        click.echo(line.rstrip())
    if json_file is not None:
        told = asdict(figures) | {"wanted_at_most": dict(AT_MOST)}
        json_file.write_text(json.dumps(told, indent=2) + "\n")
