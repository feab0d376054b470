import json
from pathlib import Path

import pytest

from runtime.models.speech_decoder import SpeechDecoderConfig, read_decoder_config
from runtime.models.speech_flow.flow import FlowConfig, SpeechFlow
from runtime.models.vocoder import Vocoder, VocoderConfig
from runtime.models.weight_files import CheckpointError

GOLDEN = Path(__file__).parents[2] / "golden" / "speech_out"
PUBLISHED = """
__set_seed1: !apply:random.seed [1986]
sample_rate: 22050
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: 16
    output_size: 20
    spk_embed_dim: 6
    vocab_size: 64
    input_frame_rate: 12.5
    output_type: 'mel'
    only_mask_loss: True
    encoder: !new:cosyvoice.transformer.encoder.BlockConformerEncoder
        input_size: 16
        output_size: 32
        attention_heads: 2
        linear_units: 48
        num_blocks: 3
        input_layer: 'linear'
        block_size: 4
        dropout_rate: 0.1
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 20
        sampling_ratios: [1, 1, 1]
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                inference_cfg_rate: 0.5
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 80
            out_channels: 20
            channels: [64, 64]
            attention_head_dim: 8
            n_blocks: 1
            num_mid_blocks: 2
            num_heads: 2
            act_fn: 'gelu'
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: 20
    base_channels: 64
    nb_harmonics: 8
    sampling_rate: !ref <sample_rate>
    nsf_alpha: 0.1
    nsf_sigma: 0.003
    nsf_voiced_threshold: 10
    upsample_rates: [8, 8]
    upsample_kernel_sizes: [16, 16]
    istft_params:
        n_fft: 16
        hop_len: 4
    resblock_kernel_sizes: [3, 7]
    resblock_dilation_sizes: [[1, 3], [1, 5]]
    source_resblock_kernel_sizes: [7, 11]
    source_resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5]]
    lrelu_slope: 0.1
    audio_limit: 0.99
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: 20
        cond_channels: 24
"""


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    return path


def test_a_published_config_is_read_without_making_what_it_names(tmp_path: Path) -> None:
    config = read_decoder_config(written(tmp_path, PUBLISHED))
    assert config.flow.encoder.output_size == 32
    assert config.flow.spk_embed_dim == 6
    assert config.flow.estimator.channels == (64, 64)
    assert config.flow.num_regulator_convs == 3
    assert config.flow.inference_cfg_rate == 0.5
    assert config.vocoder.sampling_rate == 22050
    assert config.vocoder.f0_predictor.cond_channels == 24
    assert config.vocoder.hop_samples == 256
    assert config.vocoder.resblock_dilation_sizes == ((1, 3), (1, 5))
    SpeechFlow(config.flow)
    Vocoder(config.vocoder)


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
        (PUBLISHED.replace("'mel'", "'wave'"), "flow: output_type is 'wave'"),
        (PUBLISHED.replace("vocab_size", "vocab_sise"), "flow: unknown field vocab_sise; allowed: input_size"),
        (PUBLISHED.replace("    n_blocks: 1", "    dropout: 0"), "flow: estimator: n_blocks is missing"),
        (PUBLISHED.replace("hop_len: 4", "hop: 4"), "hift: istft_params: hop_len is missing"),
        (PUBLISHED.replace("block_size: 4", "block_size: ten"), "block_size"),
        (PUBLISHED.replace("channels: [64, 64]", "channels: 64"), "channels"),
        (PUBLISHED.replace("<sample_rate>", "<no_such>"), "sampling_rate"),
        (PUBLISHED.replace("sample_rate: 22050", "sample_rate: 24000"), "sampling_rate: 24000 came, 22050 is needed"),
        (PUBLISHED.replace("in_channels: 80", "in_channels: 60"), "in_channels: 60 came, 80 is needed"),
        (PUBLISHED.replace("[16, 16]", "[16]"), "upsample_kernel_sizes: 1 came, 2 is needed"),
        (PUBLISHED.replace("rate: 12.5", "rate: 0"), "input_frame_rate is 0"),
    ],
)
def test_what_is_no_decoder_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_decoder_config(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.yaml: cannot be read"):
        read_decoder_config(tmp_path / "config.yaml")


def test_the_defaults_are_the_published_sizes() -> None:
    sizes = json.loads((GOLDEN / "config.json").read_text())["published"]
    assert SpeechDecoderConfig.from_published(sizes) == SpeechDecoderConfig(FlowConfig(), VocoderConfig())


def test_an_error_names_the_file_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refusal:
        read_decoder_config(written(tmp_path, PUBLISHED.replace("block_size: 4", "block_size: ten")))
    assert str(refusal.value).count("config.yaml") == 1
