from pathlib import Path

import pytest

from runtime.models.speech_decoder import SpeechDecoderConfig, read_decoder_config
from runtime.models.weight_files import CheckpointError

PUBLISHED = """
__set_seed1: !apply:random.seed [1986]
sample_rate: 22050
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: 512
    output_size: 80
    vocab_size: 64
    output_type: 'mel'
    encoder: !new:cosyvoice.transformer.encoder.BlockConformerEncoder
        output_size: 32
        attention_heads: 2
        input_layer: 'linear'
        block_size: 4
        dropout_rate: 0.1
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 80
        sampling_ratios: [1, 1, 1]
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                inference_cfg_rate: 0.5
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            channels: [64, 64]
            act_fn: 'gelu'
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    base_channels: 64
    sampling_rate: !ref <sample_rate>
    upsample_rates: [8, 8]
    istft_params:
        n_fft: 16
        hop_len: 4
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        cond_channels: 24
"""


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    return path


def test_a_published_config_is_read_without_making_what_it_names(tmp_path: Path) -> None:
    config = read_decoder_config(written(tmp_path, PUBLISHED))
    assert config.flow.encoder.output_size == 32
    assert config.flow.encoder.linear_units == 2048
    assert config.flow.estimator.channels == (64, 64)
    assert config.flow.num_regulator_convs == 3
    assert config.flow.inference_cfg_rate == 0.5
    assert config.vocoder.sampling_rate == 22050
    assert config.vocoder.f0_predictor.cond_channels == 24
    assert config.vocoder.hop_samples == 256


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = written(tmp_path, PUBLISHED + f"evil: !!python/object/apply:pathlib.Path.touch ['{trap}']\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: cannot be read"):
        read_decoder_config(path)
    path = written(tmp_path, PUBLISHED + f"evil: !apply:os.mkdir ['{trap}']\n")
    read_decoder_config(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("- 1", "holds no named fields"),
        ("a: 1", "flow is missing"),
        ("flow: {}", "hift is missing"),
        (PUBLISHED.replace("'linear'", "'conv2d'"), "flow: encoder: input_layer is 'conv2d'.*'linear' alone"),
        (PUBLISHED.replace("'euler'", "'heun'"), "solver is 'heun'"),
    ],
)
def test_what_is_no_decoder_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_decoder_config(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.yaml: cannot be read"):
        read_decoder_config(tmp_path / "config.yaml")


def test_the_defaults_are_the_published_sizes() -> None:
    config = SpeechDecoderConfig.from_published({"flow": {}, "hift": {}})
    assert config.flow.estimator.in_channels == 320
    assert config.vocoder.base_channels == 512
