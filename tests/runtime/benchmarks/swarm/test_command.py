import json
from pathlib import Path

import click
import pytest

from runtime.benchmarks.session import python_module
from runtime.benchmarks.swarm import command as swarm
from runtime.cli import bench

STATS = """Type,Name,Request Count,Failure Count,Median Response Time,50%,95%,99%
realtime,3 answer,4,1,12,12,20,21
realtime,4 item deleted,0,0,0,N/A,N/A,N/A
,Aggregated,4,1,12,12,20,21
"""
LOCUST = Path(swarm.__file__).parents[3] / swarm.ENVIRONMENT / "bin" / "locust"


def test_the_report_is_read(tmp_path: Path) -> None:
    file = tmp_path / "swarm_stats.csv"
    file.write_text(STATS)
    stats = swarm.read_stats(file)
    assert stats["3 answer"] == {"count": 4, "failures": 1, "p50_ms": 12, "p95_ms": 20, "p99_ms": 21}
    assert stats["4 item deleted"] == {"count": 0, "failures": 0}


def played(tmp_path: Path, code: int) -> str:
    """A program in the place of locust, that writes the report's CSV where it is told to."""
    program = tmp_path / "locust"
    copied = f'cat > "${{word}}_stats.csv" <<E\n{STATS}E\n'
    program.write_text(f'#!/bin/sh\nfor word; do case "$word" in */swarm) {copied}esac; done\nexit {code}\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is soon there."""
    monkeypatch.setattr(swarm, "python_module", lambda name, _: python_module(name, "echo"))


@pytest.mark.usefixtures("bare")
def test_the_figures(tmp_path: Path) -> None:
    figures = swarm.run_swarm(played(tmp_path, 0), 4, 0.1, tmp_path / "report")
    assert (figures.ratio, figures.users) == (0.25, 4)
    assert list(figures.requests) == ["3 answer", "4 item deleted"]
    assert figures.resident_mb > 0


@pytest.mark.usefixtures("bare")
def test_a_locust_that_fails(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="exit code 3"):
        swarm.run_swarm(played(tmp_path, 3), 4, 0.1, tmp_path / "report")


def test_where_there_is_no_locust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(click.ClickException, match=r"make bench sets up \.venv-load with it, or install"):
        swarm.find_locust()


@pytest.mark.slow
@pytest.mark.skipif(not LOCUST.exists(), reason="make bench sets up the environment with locust")
def test_the_real_one(tmp_path: Path) -> None:
    file, report = tmp_path / "figures.json", tmp_path / "report"
    told = ["--users", "3", "--minutes", "0.2", "--locust", str(LOCUST), "--report", str(report), "--json", str(file)]
    bench.main(["swarm", *told], standalone_mode=False)
    figures = json.loads(file.read_text())
    assert figures["ratio"] == 0
    assert figures["requests"]["3 answer"]["count"] >= 3
    assert "<html" in (report / "report.html").read_text()
    assert (report / "swarm_stats_history.csv").stat().st_size > 0
