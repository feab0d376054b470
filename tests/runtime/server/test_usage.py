from runtime.engine.output import Usage
from runtime.server.usage import usage_of


def test_tokens_add_up() -> None:
    told = usage_of(Usage(input_text=1, input_speech=2, input_image=4, output_text=8, output_image=16, steps=5))
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (7, 24, 31)
    assert told.input_token_details.audio_tokens == 2
    assert told.output_token_details.image_tokens == 16
    assert told.omni.steps == 5
