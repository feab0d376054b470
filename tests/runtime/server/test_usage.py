from runtime.engine.output import Usage
from runtime.server.usage import usage_of


def test_tokens_add_up() -> None:
    told = usage_of(Usage(1, 2, 4, output_text=8, output_speech=32, output_image=16, steps=5))
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (7, 56, 63)
    assert told.input_token_details.audio_tokens == 2
    assert (told.output_token_details.image_tokens, told.output_token_details.audio_tokens) == (16, 32)
    assert told.omni.steps == 5


def test_requests_add_up() -> None:
    assert Usage(1, 2, steps=3) + Usage(10, output_text=5, steps=4) == Usage(11, 2, output_text=5, steps=7)
