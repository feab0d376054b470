from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.engine.model import EMBEDDED
from runtime.evaluation.card import BEGIN, END, as_table, card, with_table
from runtime.evaluation.figures import mean, share, write_figures

COUNT = share("text to image: count", [True] * 9 + [False], ceiling=1.0, chance=0.25)
CARD = f"# Card\n\n{BEGIN}\nold\n{END}\n\nbehind\n"


def test_a_row_tells_all_there_is() -> None:
    row = as_table([COUNT]).splitlines()[-1]
    assert row == (
        "| text to image: count | 90.0 % | 59.6 % – 98.2 % | 10 | 100.0 % | 25.0 % | at least 85 %: reached |"
    )
    natural = as_table([mean("through codes and back, plain English: DistillMOS", [3.0, 3.2], "MOS")])
    assert "| 3.10 | 3.00 – 3.20 | 2 |  |  | at least 3.6: missed |" in natural


def test_figures_of_files_take_the_old_ones_place(tmp_path: Path) -> None:
    readme, first, second = (tmp_path / name for name in ("README.md", "first.json", "second.json"))
    readme.write_text(CARD)
    write_figures([COUNT], first)
    write_figures([share("other", [True])], second)
    done = CliRunner().invoke(card, [str(first), str(second), "--card", str(readme)])
    assert done.exit_code == 0, done.output
    written = readme.read_text()
    assert written.startswith(f"# Card\n\n{BEGIN}\n\n| measure")
    assert written.endswith(f"{END}\n\nbehind\n")
    assert "old" not in written
    assert written.index("text to image: count") < written.index("| other |")


def test_a_card_without_the_place_and_files_without_figures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not marked"):
        with_table("# Card", "table")
    (tmp_path / "none.json").write_text("{}")
    done = CliRunner().invoke(card, [str(tmp_path / "none.json")])
    assert done.exit_code == 1
    assert "no figures" in done.output


def test_the_shipped_card_has_the_place() -> None:
    assert "| measure |" not in with_table((EMBEDDED / "README.md").read_text(encoding="utf-8"), "")
