"""`omni demo`: speak to the model and watch the picture form."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from clients.terminal.filmstrip import Frame, draw_filmstrip
from clients.terminal.generation import generation_options, slots_of
from clients.terminal.view import View, view_for
from omnisdk.client import AsyncClient
from omnisdk.conversation import PartLike
from omnisdk.errors import LocalRuntimeError, OmniError
from omnisdk.media import Image, Speech
from omnisdk.protocol.settings import OutputModality
from omnisdk.response import Response
from omnisdk.session import AsyncSession

SHIPPED_REQUEST = Path(__file__).with_name("request.wav")
DEFAULT_QUESTION = "what do you see?"
PICTURE_SIDE = 320


@dataclass(frozen=True)
class Request:
    """What the user says: the parts of one turn, what may be answered, and a caption for it."""

    parts: tuple[PartLike, ...]
    output: tuple[OutputModality, ...]
    caption: str


@dataclass(frozen=True)
class Outcome:
    """The figures and files of one run, as `--json` prints them."""

    time_to_first_partial_s: float | None
    time_to_final_s: float | None
    steps: int
    partials: int
    transcript: str | None
    text: str
    files: dict[str, str]
    unmasked_per_step: list[int]
    seed: int | None


@click.command("demo")
@click.option("--wav", type=click.Path(path_type=Path), help="A spoken request of your own: WAV, FLAC, MP3, Opus, M4A.")
@click.option("--text", help="A written request instead of a spoken one.")
@click.option("--image", type=click.Path(path_type=Path), help="Ask about a picture.")
@click.option("--question", help=f"What to ask about --image.  [default: {DEFAULT_QUESTION}]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("omni-demo"), show_default=True, help="Folder.")
@click.option("--url", help="Use this server instead of starting a runtime here.")
@click.option("--api-key", envvar="OMNI_API_KEY", help="The server's key.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the runtime started here; 0: any free.")
@click.option("--steps", type=click.IntRange(1, 100), help="Denoise steps of the picture; fewer is faster.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeat an answer.")
@generation_options
@click.option("--json", "as_json", is_flag=True, help="End with one JSON line; everything else goes to stderr.")
def demo(
    wav: Path | None,
    text: str | None,
    image: Path | None,
    question: str | None,
    out: Path,
    url: str | None,
    api_key: str | None,
    port: int,
    steps: int | None,
    seed: int | None,
    speak: bool,
    recipe: str | None,
    numbers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Speak to the model and watch the picture form.

    Without options it starts the runtime, sends a spoken request that ships with it, and writes the picture, a
    filmstrip of its partial states, the transcript and the reply; a spoken reply as reply.wav.
    """
    try:
        request = compose_request(wav, text, image, question)
        if speak:
            request = replace(request, output=("speech", *request.output))
        settings = {"steps": steps, "seed": seed, "recipe": recipe, "slots": slots_of(numbers)}
        out.mkdir(parents=True, exist_ok=True)
        client = AsyncClient(url, api_key=api_key) if url else AsyncClient.local(port=port)
        with view_for(sys.stderr if as_json else sys.stdout) as view:
            outcome = asyncio.run(run(client, request, view, out, settings))
            report(outcome, view)
    except OmniError as error:
        raise click.ClickException(one_line(error)) from None
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written ({error.strerror}); give another --out folder") from None
    if as_json:
        click.echo(json.dumps(asdict(outcome)))


def compose_request(wav: Path | None, text: str | None, image: Path | None, question: str | None) -> Request:
    """The turn that the options describe. Raises OmniError for options that do not go together or bad files."""
    if wav is not None and text is not None:
        raise OmniError("--wav and --text were both given; give one of them")
    if question is not None and image is None:
        raise OmniError("--question asks about a picture; give --image FILE with it")
    if image is not None:
        return _picture_request(Image(image), wav, question or text)
    if text is not None:
        if not text.strip():
            raise OmniError("--text is empty; say what to draw")
        return Request((text,), ("image", "text"), text)
    if wav is None and not SHIPPED_REQUEST.exists():
        raise OmniError(f"the spoken request that ships with it is missing ({SHIPPED_REQUEST}); give --wav FILE")
    return Request((Speech(wav or SHIPPED_REQUEST),), ("image", "text"), (wav or SHIPPED_REQUEST).name)


def _picture_request(image: Image, wav: Path | None, question: str | None) -> Request:
    if wav is not None:
        return Request((Speech(wav), image), ("text",), wav.name)
    asked = question or DEFAULT_QUESTION
    return Request((image, asked), ("text",), asked)


async def run(client: AsyncClient, request: Request, view: View, out: Path, settings: dict[str, Any]) -> Outcome:
    """One turn over a live session, shown as it forms; the files are written to `out`."""
    view.say("starting the runtime ..." if client.is_local else f"connecting to {client.url} ...")
    async with client, client.session(output=request.output, partials="both") as session:
        view.say(f"connected to {client.url}; request: {request.caption}")
        response, frames = await watch(session, request.parts, view, settings)
    return Outcome(
        time_to_first_partial_s=_rounded(response.timing.first_partial_s),
        time_to_final_s=_rounded(response.timing.final_s),
        steps=response.steps,
        partials=response.num_partials,
        transcript=response.transcript,
        text=response.text,
        files=write_files(response, frames, request.caption, out),
        unmasked_per_step=response.unmasked_per_step,
        seed=response.seed,
    )


async def watch(
    session: AsyncSession, parts: tuple[PartLike, ...], view: View, settings: dict[str, Any]
) -> tuple[Response, list[Frame]]:
    """Say the parts and show the answer as it forms; returns it with the states of its picture."""
    await session.send(*parts)
    response = session.respond(**settings)
    frames: list[Frame] = []
    shown = None
    async for partial in response:
        view.partial(partial)
        if partial.image is not None and partial.preview is not shown:
            shown = partial.preview
            frames.append(Frame(partial.image, partial.step, partial.steps, partial.image.unmasked_ratio))
    view.final(response)
    if response.image is not None:
        steps = response.steps or (frames[-1].steps if frames else 0)
        whole_already = frames and frames[-1].unmasked_ratio == 1.0  # the last partial shows the same
        frames[len(frames) - bool(whole_already) :] = [Frame(response.image, steps, steps, 1.0)]
    return response, frames


def write_files(response: Response, frames: list[Frame], caption: str, out: Path) -> dict[str, str]:
    """Write what the answer holds and return the paths by kind."""
    written: dict[str, Path] = {}
    if response.image is not None:
        written["image"] = enlarged(response.image).save(out / "image.png")
        heard = response.transcript or caption
        written["filmstrip"] = draw_filmstrip(frames, heard).save(out / "filmstrip.png")
    if response.transcript is not None:
        written["transcript"] = _write_line(out / "transcript.txt", response.transcript)
    if response.text:
        written["reply"] = _write_line(out / "reply.txt", response.text)
    if response.speech is not None:
        written["speech"] = response.speech.save(out / "reply.wav")
    return {kind: str(path) for kind, path in written.items()}


def enlarged(image: Image) -> Image:
    """At least 320 pixels on its longer side."""
    longer = max(image.size)
    if longer >= PICTURE_SIDE:
        return image
    width, height = (round(side * PICTURE_SIDE / longer) for side in image.size)
    return image.resized(width, height)


def report(outcome: Outcome, view: View) -> None:
    """The figures, a line each."""
    if outcome.transcript is not None:
        view.say(f"heard                  {outcome.transcript}")
    if outcome.text:
        view.say(f"reply                  {outcome.text}")
    view.say(f"time to first partial  {_seconds(outcome.time_to_first_partial_s)} after the end of the request")
    view.say(f"time to final          {_seconds(outcome.time_to_final_s)}")
    view.say(f"steps                  {outcome.steps} ({outcome.partials} partial states seen)")
    if outcome.unmasked_per_step:
        view.say(f"unmasked a step        {' '.join(str(count) for count in outcome.unmasked_per_step)} positions")
    for kind, path in outcome.files.items():
        view.say(f"{kind:<22} {path}")


def one_line(error: OmniError) -> str:
    """The error as one line; of a runtime that died, with the last thing it said."""
    first = str(error).splitlines()[0]
    if isinstance(error, LocalRuntimeError) and error.stderr_tail.strip():
        return f"{first}: {error.stderr_tail.strip().splitlines()[-1].strip().removeprefix('Error: ')}"
    return first


def _write_line(path: Path, line: str) -> Path:
    path.write_text(line + "\n", encoding="utf-8")
    return path


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _seconds(seconds: float | None) -> str:
    return "(no partial)" if seconds is None else f"{seconds:.2f} s"
