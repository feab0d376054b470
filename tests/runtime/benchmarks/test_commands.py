from runtime.benchmarks.commands import COMMANDS


def test_every_benchmark_writes_its_figures_on_request() -> None:
    assert {command.name for command in COMMANDS} >= {"step", "session"}
    for command in COMMANDS:
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, command.name
