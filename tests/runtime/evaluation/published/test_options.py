from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.options import Options, takes_options
from runtime.models.checkpoints import CheckpointError


def command_that(act: object) -> click.Command:
    @click.command()
    @takes_options
    @click.option("--own", default="x")
    def evaluate(options: Options, own: str) -> None:
        """Measure."""
        if isinstance(act, Exception):
            raise act
        click.echo(f"{options.data} {options.seed} {options.limit} {options.out_of('task')} {own}")

    return evaluate


def test_the_shared_options_come_with_the_commands_own(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_that(None), [str(tmp_path), "--seed", "3", "--own", "y"])
    assert result.output == f"{tmp_path} 3 None omni-eval/task y\n"
    result = CliRunner().invoke(command_that(None), [str(tmp_path), "--limit", "2", "--out", "here"])
    assert result.output == f"{tmp_path} 0 2 here x\n"
    listed = CliRunner().invoke(command_that(None), ["--help"]).output
    assert "Measure." in listed
    assert "--own" in listed
    assert "--keep-going" in listed


@pytest.mark.parametrize("error", [DataError("no folder"), CheckpointError("no weights")])
def test_what_can_go_wrong_is_one_message(error: Exception, tmp_path: Path) -> None:
    result = CliRunner().invoke(command_that(error), [str(tmp_path)])
    assert (result.exit_code, result.output) == (1, f"Error: {error}\n")


def test_data_must_be_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_that(None), [str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "does not exist" in result.output
