import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clients.benchmarks.sdk import Beside, bench_sdk


def test_figures_stand_beside_their_baselines(tmp_path: Path) -> None:
    written = tmp_path / "sdk.json"
    ran = CliRunner().invoke(bench_sdk, ["--repeats", "1", "--partials", "50", "--json", str(written)])
    assert ran.exit_code == 0, ran.output
    told = json.loads(written.read_text())
    assert set(told) == {"import", "first use", "connect", "tool call", "partials"}
    for name in ("import", "first use", "connect", "tool call"):
        assert told[name]["ours_ms"] > 0
        assert told[name]["baseline_ms"] > 0
        assert told[name]["more_ms"] == pytest.approx(told[name]["ours_ms"] - told[name]["baseline_ms"])
        assert name in ran.output
    assert 0 < told["partials"]["seen"] <= told["partials"]["sent"] == 50
    assert told["partials"]["lag_p99_ms"] >= told["partials"]["lag_p50_ms"] > 0


def test_the_ratio_divides_ours_by_the_baseline() -> None:
    assert Beside(3.0, 2.0, "two").ratio == 1.5
