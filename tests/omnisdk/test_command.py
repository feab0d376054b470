import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from omnisdk.command import ENTRY_POINT_GROUP, InstalledCommands, main

MODULES = {
    "greeting.py": "import click\n@click.command()\ndef hello():\n    'Say hello.'\n    click.echo('hello there')\n",
    "needy.py": "import a_package_nobody_has\n",
    "plain.py": "answer = 42\n",
    "clients_of_ours.py": "import runtime.there_is_no_such_module\n",
}


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINT_GROUP)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> click.Group:
    for name, code in MODULES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [point("hello", "greeting:hello"), point("needy", "needy:x"), point("plain", "plain:answer")]
    return InstalledCommands(name="omni", found=found)


def test_a_command_comes_from_its_entry_point(group: click.Group) -> None:
    result = CliRunner().invoke(group, ["hello"])
    assert (result.exit_code, result.output) == (0, "hello there\n")


def test_a_command_without_its_packages_is_listed_and_says_what_is_missing(
    group: click.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        group, "_found", {"needy": point("needy", "needy:x"), "hello": point("hello", "greeting:hello")}
    )
    listing = CliRunner().invoke(group, ["--help"])
    assert listing.exit_code == 0
    assert "Say hello." in listing.output
    assert "not installed" in listing.output
    result = CliRunner().invoke(group, ["needy", "--port", "3", "more"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: omni needy needs packages that are not installed (No module named 'a_package_nobody_has')\n"
    )


def test_the_extra_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A None in sys.modules is how Python marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "click", None)
    for name in [name for name in sys.modules if name.startswith("runtime.cli")]:
        monkeypatch.delitem(sys.modules, name)
    group = InstalledCommands(name="omni", found=[point("serve", "runtime.cli:serve")])
    result = CliRunner().invoke(group, ["serve"])
    assert result.exit_code == 1
    assert "pip install 'omnisdk[runtime]'" in result.output


def test_a_missing_module_of_ours_is_no_missing_package(group: click.Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_found", {"bad": point("bad", "clients_of_ours:x")})
    result = CliRunner().invoke(group, ["bad"])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_an_entry_point_that_is_no_command(group: click.Group) -> None:
    result = CliRunner().invoke(group, ["plain"])
    assert result.exit_code == 1
    assert result.output == "Error: the entry point plain = plain:answer is not a click command\n"


def test_an_unknown_command(group: click.Group) -> None:
    result = CliRunner().invoke(group, ["dance"])
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.output


def test_the_installed_commands() -> None:
    assert isinstance(main, InstalledCommands)
    assert {"bench", "chat", "demo", "eval", "serve", "train"} <= set(main.list_commands(click.Context(main)))
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "not installed" not in result.output


def test_its_help_imports_no_torch() -> None:
    code = (
        "import sys; from omnisdk.command import main; main(['--help'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
