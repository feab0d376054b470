import sys
import wave
from pathlib import Path

import click
import pytest

from runtime.benchmarks.session import AT_MOST, SHIPPED_REQUEST, Runtime, as_lines, measure_session, read_request


def test_the_shipped_request_is_what_is_measured() -> None:
    assert 1.0 < len(read_request(SHIPPED_REQUEST)) / 48_000 < 6.0


def test_another_rate_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0\0" * 100)
    with pytest.raises(click.ClickException, match="not 24 kHz mono PCM16"):
        read_request(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [b"", b"no sound at all"])
def test_what_is_no_wav_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(click.ClickException, match="cannot be read as WAV"):
        read_request(tmp_path / "a.wav")


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"url": "ws://nowhere"}', flush=True)
time.sleep(60)
"""


def test_a_runtime_that_does_not_end_is_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.benchmarks.session.STOP_S", 0.1)
    runtime = Runtime([sys.executable, "-c", STUBBORN])
    with pytest.raises(click.ClickException, match=r"not ended 0.1 s after SIGTERM"), runtime:
        pass
    assert not Path(f"/proc/{runtime.pid}").exists()


def test_a_session_is_timed_from_its_start_to_a_spoken_answer() -> None:
    figures = measure_session(read_request(SHIPPED_REQUEST), turns=1, threads=1)
    assert figures.ready_s > 0
    assert 0 < figures.first_partial_s <= figures.picture_s <= figures.done_s
    assert figures.recognised_s > 0
    assert figures.first_sound_s is not None
    assert figures.first_sound_s > 0
    wanted = [line.split()[0] for line in as_lines(figures) if "wanted: at most" in line]
    assert sorted(wanted) == sorted(AT_MOST)
