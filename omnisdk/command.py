"""The command `omni`: finds its subcommands by entry points, so each layer brings its own and none imports another."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points, version

import click

ENTRY_POINT_GROUP = "omnisdk.commands"
EXTRA_OF_PACKAGE = {"clients": "clients", "runtime": "runtime"}


class InstalledCommands(click.Group):
    """A click group whose subcommands are entry points; a subcommand is imported when it is called or listed."""

    def __init__(self, *, found: Iterable[EntryPoint] | None = None, **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]
        self._found = {
            point.name: point for point in (entry_points(group=ENTRY_POINT_GROUP) if found is None else found)
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._found)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._found.get(cmd_name)
        if point is None:
            return None
        try:
            command = point.load()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in EXTRA_OF_PACKAGE:
                raise  # a module of ours is missing: no extra brings it back
            return _unavailable(point, error)
        if not isinstance(command, click.Command):
            raise click.ClickException(f"the entry point {point.name} = {point.value} is not a click command")
        return command


def _unavailable(point: EntryPoint, error: ModuleNotFoundError) -> click.Command:
    """Stands for a command whose packages are not installed: listed, and says what to install when it is called."""
    extra = EXTRA_OF_PACKAGE.get(point.module.partition(".")[0])
    remedy = f"; install them with: pip install 'omnisdk[{extra}]'" if extra else ""

    def refuse() -> None:
        raise click.ClickException(f"omni {point.name} needs packages that are not installed ({error}){remedy}")

    return click.Command(
        point.name,
        callback=refuse,
        short_help=f"(not installed: {error})",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )


@click.group(
    cls=InstalledCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: omni demo",
)
@click.version_option(version("omnisdk"), prog_name="omni")
def main() -> None:
    """Speak to a model that draws, and watch the picture form."""


if __name__ == "__main__":
    main()
