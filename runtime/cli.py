"""The composition root: builds model, executor, engine and app, and hands each to the next.

What is heavy is imported where it is used, so that `omni --help` and a wrong option answer at once.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import click

from runtime.config import ServeSettings, SettingsError, read_settings

if TYPE_CHECKING:
    from runtime.engine.engine import Engine
    from runtime.engine.model import OmniModel
    from runtime.server.model_card import ModelCard
    from runtime.server.settings import ServerSettings

SESSION_PATH = "/v1/realtime"
# 30 s of speech, a picture and a reply fit; of the published model, whose pictures come in 1,024 codes, several turns.
CANVAS_POSITIONS, PUBLISHED_CANVAS_POSITIONS = 1024, 8192


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 takes any free one.  [default: 8765]")
@click.option("--model", type=click.Path(), help="A model file, or its folder.  [default: the embedded one]")
@click.option("--device", help="cpu, or a torch device such as cuda (untested).  [default: cpu]")
@click.option("--threads", type=int, help="Threads of the forward pass.  [default: torch's choice]")
@click.option("--compile", is_flag=True, default=None, help="Compile the network first: minutes of warm-up.")
@click.option("--api-key", help="What clients must send.  [default: everybody may come in]")
@click.option("--api-keys", metavar="NAME=KEY,…", help="More keys, by name; sha256:… in the place of a key.")
@click.option("--key-file", type=click.Path(), help="YAML: keys by name, and what each may take.")
@click.option("--limits", metavar="NAME=NUMBER,…", help="What a key may take: sessions; steps, tokens … a minute.")
@click.option("--max-sessions", type=int, help="Sockets open at a time.  [default: 64]")
@click.option("--idle-timeout-s", type=float, help="Close sessions that are not used for so long.  [default: never]")
@click.option("--max-session-s", type=float, help="Close sessions after so long.  [default: never]")
@click.option("--resume-window-s", type=float, help="How long a lost session waits for its client.  [default: 60]")
@click.option("--drain-s", type=float, help="How long answers may take when the server is stopped.  [default: 10]")
@click.option("--ready-json", is_flag=True, help="Print one JSON line, url and pid, once connections are taken.")
def serve(ready_json: bool, **options: object) -> None:
    """Serve the model on a websocket.

    Each option may also come from the environment: OMNI_HOST, OMNI_PORT, OMNI_MODEL, OMNI_DEVICE, OMNI_THREADS,
    OMNI_COMPILE, OMNI_API_KEY, OMNI_API_KEYS, OMNI_KEY_FILE, OMNI_LIMITS, OMNI_MAX_SESSIONS, OMNI_IDLE_TIMEOUT_S,
    OMNI_MAX_SESSION_S, OMNI_RESUME_WINDOW_S, OMNI_DRAIN_S, OMNI_ALLOWED_HOSTS, OMNI_ALLOWED_ORIGINS.
    """
    try:
        settings = read_settings(options)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    signal.signal(signal.SIGTERM, _stop)
    with installed("runtime"):
        from runtime.server import serving
        from runtime.server.app import create_app
        from runtime.server.heap import settle, share_one_heap
    share_one_heap()
    server_settings = server_settings_of(settings)
    try:
        # Before the model is read, so that a port in use is told at once.
        listener = serving.bind(settings.host, settings.port, server_settings)
    except serving.BindError as error:
        raise click.ClickException(str(error)) from None
    with listener:
        engine, card = start_engine(settings)
        app = create_app(engine, card, server_settings)
        settle()
        url = serving.url_of(listener) + SESSION_PATH
        try:
            serving.Server(app, lambda: announce(url, ready_json)).run(sockets=[listener])
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
        finally:
            engine.close()


def start_engine(settings: ServeSettings) -> tuple[Engine, ModelCard]:
    """Read the model and start the engine on it. A model that cannot be used ends the command in one line."""
    with installed("runtime"):
        from runtime.engine.budget import measure_budget
        from runtime.engine.denoising import DenoisingEngine, EngineLimits
        from runtime.engine.model import load_model
        from runtime.executors.in_process import InProcessExecutor
        from runtime.models.checkpoints import CheckpointError
    try:
        model = load_model(settings.model, settings.device)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    if settings.compile:
        click.echo("compiling the network: minutes, once for each start", err=True)
    executor = InProcessExecutor(model.backbone, num_threads=settings.threads, compiled=settings.compile)
    positions = PUBLISHED_CANVAS_POSITIONS if model.published else CANVAS_POSITIONS
    limits = EngineLimits(positions, batch_positions=measure_budget(executor, model.vocabulary.text))
    return DenoisingEngine(model, executor, limits), card_of(model)


def card_of(model: OmniModel) -> ModelCard:
    """What clients are told of the model."""
    from runtime.server.model_card import ModelCard, PictureShape

    rows, columns = model.image_grid
    side = model.image_size_px
    # The embedded model was trained on single turns; more of the conversation would only confuse it.
    max_turns = None if model.published else 1
    return ModelCard(
        model.name,
        model.recipes,
        PictureShape(side, side, columns, rows, fixed=bool(model.backbone.config.image_grid)),
        max_turns=max_turns,
        speech_code_ms=1000 / model.voice.codes_per_second if model.voice is not None else None,
        follow_ups=model.follow_ups,
        wordings=model.wordings,
    )


def server_settings_of(settings: ServeSettings) -> ServerSettings:
    from runtime.server.key_file import KeyFileError, keys_of, limits_of
    from runtime.server.settings import LOOPBACK_HOSTS, ServerSettings

    given = {name: key.get_secret_value() for name, key in settings.api_keys.items()}
    if settings.api_key:
        given["default"] = settings.api_key.get_secret_value()
    try:
        limits = limits_of(settings.limits)
        keys = keys_of(given, settings.key_file, limits)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from None
    hosts = settings.allowed_hosts
    if hosts is None:
        hosts = LOOPBACK_HOSTS if settings.on_loopback else ("*",)
    return ServerSettings(
        keys=keys,
        limits=limits,
        allowed_hosts=tuple(dict.fromkeys((*hosts, settings.host))),
        allowed_origins=settings.allowed_origins,
        max_sessions=settings.max_sessions,
        resume_window_s=settings.resume_window_s,
        idle_timeout_s=settings.idle_timeout_s,
        max_session_s=settings.max_session_s,
        drain_s=settings.drain_s,
    )


def announce(url: str, ready_json: bool) -> None:
    if ready_json:
        click.echo(json.dumps({"url": url, "pid": os.getpid()}))
    else:
        click.echo(f"ready at {url} (Ctrl-C ends it)", err=True)


def _stop(*_: object) -> NoReturn:
    """SIGTERM ends the program as a return does, with everything closed."""
    sys.exit(0)


@contextmanager
def installed(extra: str) -> Iterator[None]:
    """Turns an import of what is not installed into one line that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("runtime", "omnisdk"):
            raise  # ours: no package brings it
        raise click.ClickException(
            f"this needs packages that are not installed ({error}); install them with: pip install 'omnisdk[{extra}]'"
        ) from None


class LaterCommand(click.Command):
    """The command of the same name in another module, imported when it is called."""

    def __init__(self, *, name: str, module: str, extra: str, help: str) -> None:  # noqa: A002 - click's own name
        super().__init__(name, help=help)
        self._module, self._extra = module, extra

    def make_context(self, *arguments: Any, **attributes: Any) -> click.Context:
        with installed(self._extra):
            command: click.Command = getattr(importlib.import_module(self._module), str(self.name))
        return command.make_context(*arguments, **attributes)

    def invoke(self, ctx: click.Context) -> Any:
        return ctx.command.invoke(ctx)


class LaterGroup(click.Group):
    """A group whose commands are the `COMMANDS` of another module, imported when the group is used; and `all`.

    Each of them takes `--json FILE`. with_all: whether it makes sense to run them all.
    """

    def __init__(self, *, module: str, extra: str, with_all: bool = True, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._module, self._extra, self._with_all = module, extra, with_all

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._loaded())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._loaded().get(cmd_name)

    def _loaded(self) -> dict[str, click.Command]:
        with installed(self._extra):
            commands = importlib.import_module(self._module).COMMANDS
        named = {str(command.name): command for command in commands}
        alone = {name: command for name, command in named.items() if not needs_arguments(command)}
        return {**named, "all": one_after_another(alone)} if self._with_all else named


def needs_arguments(command: click.Command) -> bool:
    return any(parameter.required for parameter in command.params)


def one_after_another(commands: Mapping[str, click.Command]) -> click.Command:
    """The command `all`. One that fails does not keep the others from running."""

    @click.command("all")
    @click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write all figures here.")
    def run_all(json_file: Path | None) -> None:
        """Run all that need no arguments."""
        figures: dict[str, Any] = {}
        failed: dict[str, str] = {}
        for name, command in commands.items():
            click.echo(f"== {name}")
            try:
                figures[name] = figures_of(command)
            except click.ClickException as error:
                failed[name] = error.format_message()
        if json_file is not None:
            json_file.write_text(json.dumps(figures, indent=2) + "\n")
        if failed:
            raise click.ClickException("; ".join(f"{name} failed: {why}" for name, why in failed.items()))

    return run_all


def figures_of(command: click.Command) -> Any:
    """What the command writes to its `--json` file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command.main(["--json", str(path)], prog_name=command.name, standalone_mode=False)
        return json.loads(path.read_text())


bench = LaterGroup(
    name="bench", module="runtime.benchmarks.commands", extra="runtime", help="Measure the speed of this machine."
)
evaluate = LaterGroup(
    name="eval",
    module="runtime.evaluation.commands",
    extra="runtime,train,eval",
    help="Measure the quality of a model.",
)
models = LaterGroup(
    name="models",
    module="runtime.models_command",
    extra="runtime",
    with_all=False,
    help="Tell what a model on disk is and takes, without loading it.",
)

parity = LaterCommand(
    name="parity",
    module="runtime.evaluation.parity.command",
    extra="runtime",
    help="Compare with golden data of the reference, case by case.",
)

finetune = LaterCommand(
    name="finetune",
    module="runtime.training.published.train",
    extra="runtime,finetune",
    help="Train a model of any size on the published data format.",
)

# How the embedded model is made, in order: name, module, arguments. Each goes on where it was stopped.
TRAINING_STAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "drawings": ("runtime.training.data.drawings", ()),
    "speech": ("runtime.training.data.speech", ()),
    "text": ("runtime.training.text", ()),
    "image-tokenizer": ("runtime.training.image_tokenizer", ()),
    "pictures": ("runtime.training.pictures", ()),
    "image-decoder": ("runtime.training.image_decoder", ()),
    "speech-encoder": ("runtime.training.speech_encoder", ()),
    "heard": ("runtime.training.heard", ()),
    "sentences": ("runtime.training.data.voice", ()),
    "speech-codec": ("runtime.training.speech_codec", ()),
    "harmonic-vocoder": ("runtime.training.harmonic_vocoder", ()),
    "speech-codes": ("runtime.training.speech_codes", ()),
    "backbone-pictures": ("runtime.training.backbone", ("pictures",)),
    "backbone-spoken": ("runtime.training.backbone", ("spoken",)),
    "backbone-talking": ("runtime.training.backbone", ("talking",)),
    "backbone-reading": ("runtime.training.backbone", ("reading",)),
    "package": ("runtime.training.package", ()),
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("stage", metavar="STAGE", type=click.Choice(["all", *TRAINING_STAGES]))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(stage: str, arguments: tuple[str, ...]) -> None:
    """Make the embedded model again, from nothing.

    STAGE is `all`, or one of drawings, speech, text, image-tokenizer, pictures, image-decoder, speech-encoder, heard,
    sentences, speech-codec, harmonic-vocoder, speech-codes, backbone-pictures, backbone-spoken, backbone-talking,
    backbone-reading, package, in this order. Each goes on where it was stopped.
    ARGUMENTS go to the stage itself: `omni train image-tokenizer -- --help` tells which it takes.
    """
    for name in TRAINING_STAGES if stage == "all" else (stage,):
        module, fixed = TRAINING_STAGES[name]
        click.echo(f"== {name}", err=True)
        code = subprocess.run([sys.executable, "-m", module, *fixed, *arguments]).returncode
        if code:
            raise click.ClickException(
                f"stage {name} ended with exit code {code}; "
                "once that is mended, the same command goes on where it stopped"
            )


@click.command()
@click.argument("name", required=False)
@click.option(
    "--model", default="embedded", show_default=True, help="embedded, published, or a model's folder or file."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recipes(name: str | None, model: str, as_json: bool) -> None:
    """Print what a model can do: each recipe with its slots and numbers, or the one NAMEd.

    The numbers can be changed for a session or an answer: `slots` in the SDK, `--set` of `omni demo` and `omni chat`.
    """
    with installed("runtime"):
        from runtime.engine import recipe_table as table
    try:
        found = table.chosen(table.recipes_of(model), name)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(table.as_fields(found), indent=2) if as_json else table.as_text(found).rstrip())


@click.group()
def main() -> None:
    """The runtime's own commands, for `python -m runtime.cli`."""


for command in (serve, bench, evaluate, finetune, models, parity, recipes, train):
    main.add_command(command)

if __name__ == "__main__":
    main()
