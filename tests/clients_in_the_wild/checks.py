"""What must be true of every conversation, whatever the weights say exactly."""

import base64

import numpy as np

SAID = "draw an umbrella on a yellow background"  # in the recording that is played to the model
DESCRIBE, BACKGROUND = "describe the picture", "white"  # what is asked of the picture that is shown, and what is true
RATE_HZ = 24_000


def check_sound(sound: str) -> None:
    """Base64 of PCM16 at 24 kHz: more than half a second, and loud enough to be heard."""
    pcm = np.frombuffer(base64.b64decode(sound), "<i2").astype(np.float32)
    assert len(pcm) > RATE_HZ / 2
    assert np.sqrt(np.mean(pcm**2)) > 100


def check_heard(transcript: str) -> None:
    """At least half of the words that were said to the model."""
    words = SAID.split()
    assert sum(word in transcript.lower().split() for word in words) >= len(words) / 2, transcript
