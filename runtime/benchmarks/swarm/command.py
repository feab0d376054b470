"""A load that others know how to read: locust's users before the scripted server, its report kept as HTML and CSV.

locust is built on gevent, which patches the process it runs in, so it has a process and an environment of its own.
"""

import csv
import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from runtime.benchmarks.cancel import resident_mb
from runtime.benchmarks.session import Runtime, python_module
from runtime.benchmarks.sessions import SERVER

TALKERS = Path(__file__).with_name("talkers.py")
ENVIRONMENT = Path(".venv-load")
REPORT = Path("bench-swarm")
FIGURES = {"Request Count": "count", "Failure Count": "failures", "50%": "p50_ms", "95%": "p95_ms", "99%": "p99_ms"}


@dataclass(frozen=True)
class SwarmFigures:
    """ratio: failures over all that was asked. requests: by kind, how many, how many failed, and milliseconds.

    resident_mb: of the server, at the end.
    """

    ratio: float
    users: int
    minutes: float
    requests: dict[str, dict[str, float]]
    resident_mb: float


def run_swarm(locust: str, users: int, minutes: float, report: Path) -> SwarmFigures:
    """Writes report.html and *.csv into the folder."""
    report.mkdir(parents=True, exist_ok=True)
    with Runtime(python_module(SERVER, "scripted")) as runtime:
        ended = subprocess.run(swarm_command(locust, runtime.url, users, minutes, report))
        memory_mb = resident_mb(runtime.pid)
    if ended.returncode:
        raise click.ClickException(f"locust ended with exit code {ended.returncode}; what it says stands above")
    requests = read_stats(report / "swarm_stats.csv")
    total = requests.pop("Aggregated")
    return SwarmFigures(total["failures"] / max(1, total["count"]), users, minutes, requests, memory_mb)


def swarm_command(locust: str, url: str, users: int, minutes: float, report: Path) -> list[str]:
    told = ["--html", str(report / "report.html"), "--csv", str(report / "swarm"), "--csv-full-history"]
    pace = ["--users", str(users), "--spawn-rate", str(users / 2), "--run-time", f"{round(60 * minutes)}s"]
    # Failures are counted, so they are no reason to end otherwise.
    quiet = [
        "--headless",
        "--only-summary",
        "--exit-code-on-error",
        "0",
        "--loglevel",
        "WARNING",
        "--stop-timeout",
        "10",
    ]
    return [locust, "-f", str(TALKERS), "--host", url, *pace, *quiet, *told]


def read_stats(file: Path) -> dict[str, dict[str, float]]:
    """By the name of what was asked; "Aggregated" is all of it."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {
            line["Name"]: {ours: float(line[theirs]) for theirs, ours in FIGURES.items() if line[theirs] != "N/A"}
            for line in csv.DictReader(lines)
        }


def find_locust() -> str:
    found = shutil.which("locust", path=str(ENVIRONMENT / "bin")) or shutil.which("locust")
    if found is None:
        raise click.ClickException(
            f"there is no locust; make bench sets up {ENVIRONMENT} with it, or install {TALKERS.parent.name}/"
            "requirements.txt in an environment and name its locust with --locust"
        )
    return found


@click.command("swarm")
@click.option("--users", default=50, show_default=True)
@click.option("--minutes", default=2.0, show_default=True)
@click.option("--locust", help=f"The program.  [default: that of {ENVIRONMENT}, or on the PATH]")
@click.option("--report", default=REPORT, show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def swarm(users: int, minutes: float, locust: str | None, report: Path, json_file: Path | None) -> None:
    """Live sessions played by locust, the network from a script; its report is kept as HTML and CSV."""
    figures = run_swarm(locust or find_locust(), users, minutes, report)
    for name, request in figures.requests.items():
        click.echo(
            f"{name:<18} {request['count']:6.0f}, failed {request['failures']:.0f}, p50 {request['p50_ms']:.0f}, "
            f"p95 {request['p95_ms']:.0f}, p99 {request['p99_ms']:.0f} ms"
        )
    click.echo(f"resident {figures.resident_mb:.0f} MB; the report is {report / 'report.html'}")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
