"""The engine's token counts in the words of the wire."""

from omnisdk.protocol import response
from runtime.engine.output import Usage


def usage_of(usage: Usage) -> response.Usage:
    read = usage.input_text + usage.input_speech + usage.input_image
    written = usage.output_text + usage.output_speech + usage.output_image
    return response.Usage(
        total_tokens=read + written,
        input_tokens=read,
        output_tokens=written,
        input_token_details=response.InputTokens(
            text_tokens=usage.input_text, audio_tokens=usage.input_speech, image_tokens=usage.input_image
        ),
        output_token_details=response.OutputTokens(
            text_tokens=usage.output_text, audio_tokens=usage.output_speech, image_tokens=usage.output_image
        ),
        omni=response.UsageOmni(steps=usage.steps),
    )
