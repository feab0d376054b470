from pathlib import Path

from runtime.models.memory import available_bytes


def test_what_linux_tells(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16000 kB\nMemAvailable:    1234 kB\nBuffers: 1 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 1234 * 1024


def test_where_nothing_is_told(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "nowhere") is None
    (tmp_path / "meminfo").write_text("MemTotal:       16000 kB\n")
    assert available_bytes(tmp_path / "meminfo") is None
