"""A whole session as a client meets it: cold start, a spoken request, the picture; `omni bench session`.

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
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from websockets.sync.client import connect
from websockets.sync.connection import Connection

# A file of the distribution, not a module: what a newcomer says first is what is measured.
SHIPPED_REQUEST = Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"
CHUNK_BYTES = 48_000  # one second of 24 kHz PCM16


@dataclass(frozen=True)
class TurnTimes:
    """Seconds from the end of speech."""

    first_partial_s: float | None
    picture_s: float
    done_s: float
    partials: int
    steps: int


@dataclass(frozen=True)
class SessionFigures:
    """ready_s: from starting the process to its first accepted connection. resident_mb: the peak over the run.

    ratio: time to the finished answer with partials, beside without.
    """

    ready_s: float
    first_partial_s: float
    picture_s: float
    done_s: float
    done_without_partials_s: float
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
        self._child.communicate(timeout=10)

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


def spoken_turn(socket: Connection, pcm: bytes, partials: str) -> TurnTimes:
    """Say `pcm` (24 kHz PCM16), ask for the answer and read it to its end."""

    def send(event: dict[str, object]) -> None:
        socket.send(json.dumps(event))

    for start in range(0, len(pcm), CHUNK_BYTES):
        chunk = base64.b64encode(pcm[start : start + CHUNK_BYTES]).decode()
        send({"type": "input_audio_buffer.append", "audio": chunk})
    spoken = time.monotonic()
    send({"type": "input_audio_buffer.commit"})
    send({"type": "response.create", "response": {"omni": {"partials": partials}}})
    first = picture = None
    num_partials = steps = 0
    while True:
        event = json.loads(socket.recv(timeout=120))
        now = time.monotonic() - spoken
        if event["type"] == "omni.canvas.delta":
            num_partials += 1
            first = first or now
        elif event["type"] == "omni.image.done":
            picture = now
        elif event["type"] == "omni.canvas.done":
            steps = event["steps"]
        elif event["type"] == "error":
            raise click.ClickException(f"the runtime refused the turn: {event['error']['message']}")
        elif event["type"] == "response.done":
            return TurnTimes(first, picture or now, now, num_partials, steps)


def measure_session(pcm: bytes, turns: int, threads: int | None) -> SessionFigures:
    """Medians over `turns` turns with and without partials, interleaved."""
    with Runtime(omni_serve(threads)) as runtime, connect(f"{runtime.url}?omni=1", subprotocols=["omni.v1"]) as socket:  # type: ignore[list-item]
        spoken_turn(socket, pcm, "both")  # the first one pays for what is made on first use
        shown, hidden = [], []
        for _ in range(turns):
            shown.append(spoken_turn(socket, pcm, "both"))
            hidden.append(spoken_turn(socket, pcm, "off"))
        done, bare = (statistics.median(t.done_s for t in times) for times in (shown, hidden))
        return SessionFigures(
            ready_s=runtime.ready_s,
            first_partial_s=statistics.median(t.first_partial_s or t.done_s for t in shown),
            picture_s=statistics.median(t.picture_s for t in shown),
            done_s=done,
            done_without_partials_s=bare,
            ratio=done / bare,
            steps=shown[0].steps,
            partials=round(statistics.median(t.partials for t in shown)),
            resident_mb=runtime.peak_resident_mb,
            turns=turns,
        )


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
    """Cold start, first partial, finished picture and memory of the embedded runtime."""
    pcm = read_request(wav or SHIPPED_REQUEST)
    figures = asdict(measure_session(pcm, turns, threads))
    for name, value in figures.items():
        click.echo(f"{name:<26} {value:.3f}" if isinstance(value, float) else f"{name:<26} {value}")
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
