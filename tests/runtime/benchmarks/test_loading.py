import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from runtime.benchmarks import loading as benchmark
from runtime.benchmarks.loading import (
    config_of_size,
    loading,
    measure_loading,
    peak_resident_bytes,
    write_checkpoint,
)
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import built_without_weights, examine
from runtime.models.published import SPEECH_ENCODER, published_backbone
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.models.weight_files import survey_weights

TINY = BackboneConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
                      num_key_value_heads=1)  # fmt: skip
EARS = SpeechEncoderConfig(8, 2, 8, 1, 0, ctc_vocab=4)


@pytest.fixture
def small_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SPEECH_ENCODER", EARS)


@pytest.mark.usefixtures("small_ears")
def test_what_is_written_is_a_published_layout(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TINY, shard_bytes=4000)
    survey = survey_weights(tmp_path)
    assert len(survey.files) > 3
    assert published_backbone(tmp_path, {}) == TINY
    found = examine(built_without_weights(lambda: Backbone(TINY, EARS)), survey)
    assert found.problems == ()
    assert (
        found.num_bytes == json.loads((tmp_path / "model.safetensors.index.json").read_text())["metadata"]["total_size"]
    )


def test_the_size_asked_for_is_reached() -> None:
    def size(config: BackboneConfig) -> int:
        network = built_without_weights(lambda: Backbone(config, SPEECH_ENCODER))
        return 2 * sum(parameter.numel() for parameter in network.parameters())

    config = config_of_size(2_000_000_000)
    assert 2_000_000_000 <= size(config) < 2_500_000_000
    assert config.hidden_size == 3584
    assert config_of_size(1).num_hidden_layers == 1


@pytest.mark.slow
def test_loading_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Half a gigabyte, most of it the speech encoder at its published size."""
    write_checkpoint(tmp_path, TINY)
    figures = measure_loading(tmp_path)
    assert figures.weights_bytes > 400_000_000
    for times in (figures.cold, figures.warm):
        assert 0 < times.ready < times.all_read
        assert times.plain_read > 0
    assert figures.before_bytes < figures.peak_bytes
    assert figures.private_bytes < figures.before_bytes + 0.15 * figures.weights_bytes
    assert 0.9 < figures.peak_ratio_of_load < 1.15


def test_this_process_has_a_peak() -> None:
    assert 50_000_000 < peak_resident_bytes() < 1_000_000_000_000


class Usage(NamedTuple):
    free: int


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1000))
    result = CliRunner().invoke(loading, ["--cache", str(tmp_path / "cache")])
    assert result.exit_code == 1
    assert "has no room for 2.0 GB" in result.output
    assert list((tmp_path / "cache").iterdir()) == []
