"""A whole model of the real classes with small random weights: everything runs, nothing is learned."""

import torch

from runtime.codecs.speech import SpeechFrontEnd
from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.model import OmniModel
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig
from runtime.models.speech_encoder import SpeechEncoderConfig

SPEECH_ENCODER = SpeechEncoderConfig(
    output_size=32, attention_heads=2, linear_units=32, num_blocks=2, tp_blocks=0, ctc_vocab=8
)
SENTENCES = ["user", "assistant", "draw two red apples on a blue background", "what is this", "a cat above a dog"] * 4


def tiny_model(seed: int = 0, num_speech: int = 0) -> OmniModel:
    """Pictures of 80 x 80 px as 10 x 10 codes, as the embedded model's recipes want them."""
    torch.manual_seed(seed)
    text = TextCodec.train(SENTENCES, 320)
    stage = StageConfig(ch=32, ch_mult=(1, 1), num_res_blocks=(1, 1), patch_size=4)
    tokenizer = ImageTokenizer(ImageTokenizerConfig(stage, stage, codebook_dim=6)).eval()
    vocabulary = Vocabulary.compact(text.num_tokens, num_speech, tokenizer.config.num_codes)
    config = BackboneConfig(len(vocabulary), 32, 48, 2, 2, 1, tie_word_embeddings=True, image_grid=10)
    return OmniModel(
        name="tiny",
        backbone=Backbone(config, SPEECH_ENCODER).eval(),
        image_tokenizer=tokenizer,
        vocabulary=vocabulary,
        text=text,
        front_end=SpeechFrontEnd(torch.zeros(560), torch.ones(560), level=0.1),
        recipes=EMBEDDED_RECIPES,
        image_size_px=80,
    )
