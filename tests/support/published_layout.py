"""The published model's files in small: the same layouts, names and token ids, random weights of tiny sizes."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from torch import Tensor, nn

from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig
from runtime.models.speech_decoder import read_decoder_config
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.models.speech_flow.flow import SpeechFlow
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from runtime.models.vocoder import Vocoder

NUM_SPEECH_CODES = 16_384
BACKBONE = BackboneConfig(176_264, 8, 16, 2, 2, 1)
SPEECH_ENCODER = SpeechEncoderConfig(
    output_size=8, attention_heads=2, linear_units=8, num_blocks=2, tp_blocks=1, ctc_vocab=8
)
STAGE = {"ch": 32, "ch_mult": [1, 1, 1, 1, 1], "num_res_blocks": [1, 1, 1, 1, 1]}
SPEECH_TOKENIZER = {
    "d_model": 8, "encoder_attention_heads": 2, "encoder_ffn_dim": 8, "quantize_position": 1, "pooling_position": 1,
    "quantize_vocab_size": NUM_SPEECH_CODES, "max_source_positions": 1500, "model_type": "whisper",
    "encoder_causal_convolution": True, "pooling_type": "avg", "decoder_layers": 32,
}  # fmt: skip
BACKBONE_CONFIG = {
    "_name_or_path": "somewhere", "architectures": ["DreamModel"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "hidden_act": "silu", "hidden_size": 8, "initializer_range": 0.02, "intermediate_size": 16,
    "mask_token_id": 151666, "max_position_embeddings": 131072, "model_type": "Dream", "num_attention_heads": 2,
    "num_hidden_layers": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_scaling": None,
    "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "use_cache": True, "use_mrope": False, "use_sliding_window": False, "vocab_size": 176264,
}  # fmt: skip
SPEECH_ENCODER_CONFIG = """
encoder: SenseVoiceEncoderSmall
encoder_conf:
    output_size: 8
    attention_heads: 2
    linear_units: 8
    num_blocks: 2
    tp_blocks: 1
    ctc_vocab: 8
    dropout_rate: 0.1
    input_layer: pe
    pos_enc_class: SinusoidalPositionEncoder
    normalize_before: true
    kernel_size: 11
    sanm_shfit: 0
    selfattention_layer_type: sanm
"""
DECODER_CONFIG = """
__set_seed: !apply:random.seed [1986]
sample_rate: 22050
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: 8
    output_size: 8
    spk_embed_dim: 4
    vocab_size: 16384
    input_frame_rate: 12.5
    encoder: !new:cosyvoice.transformer.encoder.BlockConformerEncoder
        input_size: 8
        output_size: 8
        attention_heads: 2
        linear_units: 8
        num_blocks: 1
        block_size: 10
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        sampling_ratios: [1, 1, 1, 1]
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        cfm_params: !new:omegaconf.DictConfig
            content:
                inference_cfg_rate: 0.7
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 32
            out_channels: 8
            channels: [16, 16]
            attention_head_dim: 8
            n_blocks: 1
            num_mid_blocks: 1
            num_heads: 2
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: 8
    base_channels: 16
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
    resblock_kernel_sizes: [3, 7, 11]
    resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    source_resblock_kernel_sizes: [7, 11]
    source_resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5]]
    lrelu_slope: 0.1
    audio_limit: 0.99
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        in_channels: 8
        cond_channels: 8
"""
MODEL_FILE = {
    "name": "published in small",
    "parts": {
        "backbone": "omni",
        "image_tokenizer": "magvitv2",
        "speech_tokenizer": "glm-4-voice-tokenizer",
        "speech_decoder": "glm-4-voice-decoder",
        "speech_front_end": "omni/am.mvn",
        "text": "omni",
    },
    "vocabulary": "published",
    "image_size_px": {"prompt": 512, "answer": 256},
    "dtype": "bfloat16",
}


def write_published(folder: Path) -> Path:
    """The whole model; returns its model file."""
    torch.manual_seed(0)
    write_backbone(folder / "omni")
    write_text(folder / "omni")
    (folder / "omni" / "am.mvn").write_text(_mvn(0.5, 2.0))
    write_image_tokenizer(folder / "magvitv2")
    write_speech_tokenizer(folder / "glm-4-voice-tokenizer")
    write_speech_decoder(folder / "glm-4-voice-decoder")
    path = folder / "model.json"
    path.write_text(json.dumps(MODEL_FILE))
    return path


def write_backbone(folder: Path, num_shards: int = 3) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(BACKBONE_CONFIG))
    (folder / "config.yaml").write_text(SPEECH_ENCODER_CONFIG)
    write_shards(folder, weights_of(Backbone(BACKBONE, SPEECH_ENCODER), torch.bfloat16), num_shards)


def write_shards(folder: Path, weights: Mapping[str, Tensor], num_shards: int) -> None:
    names = list(weights)
    weight_map = {}
    for i in range(num_shards):
        file = f"model-{i + 1:05}-of-{num_shards:05}.safetensors"
        mine = names[i::num_shards]
        save_file({name: weights[name] for name in mine}, folder / file)
        weight_map |= dict.fromkeys(mine, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_image_tokenizer(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"_class_name": "MAGVITv2", "_diffusers_version": "0.30.1", "encoder": STAGE, "decoder": STAGE})
    )
    stage = StageConfig(ch=32, ch_mult=(1,) * 5, num_res_blocks=(1,) * 5)
    torch.save(weights_of(ImageTokenizer(ImageTokenizerConfig(stage, stage))), folder / "pytorch_model.bin")


def write_speech_tokenizer(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SPEECH_TOKENIZER))
    network = SpeechTokenizer(SpeechTokenizerConfig.from_published(SPEECH_TOKENIZER))
    save_file(weights_of(network), folder / "model.safetensors")


def write_speech_decoder(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.yaml").write_text(DECODER_CONFIG)
    config = read_decoder_config(folder / "config.yaml")
    torch.save(weights_of(SpeechFlow(config.flow)), folder / "flow.pt")
    torch.save(weights_of(Vocoder(config.vocoder)), folder / "hift.pt")


def write_text(folder: Path) -> None:
    """As many tokens as the published vocabulary has, all but the single bytes out of reach."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"token{i}" for i in range(len(letters), 151_643))]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def weights_of(network: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in network.state_dict().items()
    }


def _mvn(shift: float, scale: float) -> str:
    rows = (" ".join([str(value)] * 560) for value in (shift, scale))
    return "<Nnet>\n" + "".join(f"<LearnRateCoef> 0 [ {row} ]\n" for row in rows) + "</Nnet>\n"


def write_model_file(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(MODEL_FILE | changes))
    return path
