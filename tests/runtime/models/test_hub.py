import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from runtime.models.hub import hub_folder
from runtime.models.weight_files import CheckpointError

NAME = "someone/magvit"
WEIGHTS = ("*.safetensors", "*.bin")
FETCH = r"hf download someone/magvit --local-dir"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's own cache, empty and without a network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache: Path, file: str, revision: str = "main", commit: str = "0" * 40) -> Path:
    repository = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / file).write_bytes(b"")
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    return snapshot


def test_what_the_cache_holds_needs_no_network(cache: Path) -> None:
    snapshot = put(cache, "model.safetensors")
    assert hub_folder(NAME, WEIGHTS) == snapshot


def test_a_revision_of_its_own(cache: Path) -> None:
    put(cache, "model.safetensors")
    older = put(cache, "model.safetensors", revision="v1", commit="1" * 40)
    assert hub_folder(NAME, WEIGHTS, revision="v1") == older


@pytest.mark.parametrize("download", [False, True])
def test_what_is_not_at_hand_comes_with_the_command_to_fetch_it(cache: Path, download: bool) -> None:
    with pytest.raises(CheckpointError, match=FETCH) as caught:
        hub_folder(NAME, WEIGHTS, download=download)
    assert "\n" not in str(caught.value)


def test_a_cache_without_the_files_that_matter_is_no_cache(cache: Path) -> None:
    put(cache, "README.md")
    with pytest.raises(CheckpointError, match="not in the local cache"):
        hub_folder(NAME, WEIGHTS, download=False)


def test_only_what_is_needed_is_fetched(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append(options)
        if options.get("local_files_only"):
            raise FileNotFoundError(name)
        return str(tmp_path / "fetched")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert hub_folder(NAME, ("am.mvn",)) == tmp_path / "fetched"
    assert asked[1]["allow_patterns"] == ["am.mvn", "*.json", "*.yaml", "*.txt"]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'omnisdk\[hub\]'.*" + FETCH):
        hub_folder(NAME, WEIGHTS)
