import logging
import subprocess
from pathlib import Path

import pytest
import torch

from runtime.diffusion import nucleus_kernel
from runtime.diffusion.nucleus_kernel import build, compiled

needs_compiler = pytest.mark.skipif(compiled() is None, reason="no C compiler here")


@needs_compiler
def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path / "new")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was built again"))
    assert build(tmp_path / "new") == first
    assert list(first.parent.iterdir()) == [first]


def test_no_compiler_is_told_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(nucleus_kernel.shutil, "which", lambda name: None)
    compiled.cache_clear()
    with caplog.at_level(logging.INFO):
        assert nucleus_kernel.nucleus(torch.zeros(1, 3), torch.full((1, 3), 1 / 3), 0.5) is None
    assert "no C compiler" in caplog.text
    compiled.cache_clear()


@needs_compiler
def test_a_broken_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nucleus_kernel.shutil, "which", lambda name: "/bin/false")
    with pytest.raises(subprocess.SubprocessError):
        build(tmp_path)
    assert list(tmp_path.glob("*.so")) == []
