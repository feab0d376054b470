"""Speech and pictures a person can hand over, look at, listen to and save.

Both open from a path, bytes, an http(s) URL or an array, check themselves when made, and never change afterwards.
"""

from omnisdk.media.devices import Speaker, microphone, speaker
from omnisdk.media.image import FOG, Image, PreviewImage
from omnisdk.media.speech import ResamplingStream, Speech

__all__ = ["FOG", "Image", "PreviewImage", "ResamplingStream", "Speaker", "Speech", "microphone", "speaker"]
