import random

import torch

from runtime.models.speech_codec import SpeechCodecConfig
from runtime.training import speech_codec
from runtime.training.speech_codec import BATCH, CodecInTraining, Track, losses_of
from runtime.training.voice_frames import Alphabet, frames_of, normalisation
from tests.support.sentences import sung

SMALL = SpeechCodecConfig(frame_width=16, code_width=16)


def test_a_few_steps_learn_frames_and_phonemes() -> None:
    torch.manual_seed(0)
    sentences = [sung("abca bc"), sung("cba", 150)]
    alphabet = Alphabet.of(sentences)
    frames = [frames_of(sentence, alphabet) for sentence in sentences]
    mean, spread = normalisation(frames)
    track = Track.of(frames, mean, spread)
    network = CodecInTraining(len(alphabet), SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    values, phonemes = track.draw(random.Random(0), 40)
    assert values.shape == (BATCH, 40, 82)
    history = []
    for _ in range(25):
        losses = losses_of(network, values, phonemes)
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert history[-1]["mel"] < 0.9 * history[0]["mel"]
    assert history[-1]["phoneme"] < 0.9 * history[0]["phoneme"]


def test_the_codec_is_taken_without_the_head_it_was_taught_with(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(speech_codec, "CONFIG", SMALL)
    network = CodecInTraining(5, SMALL)
    folder = tmp_path / "runs" / "speech_codec"
    folder.mkdir(parents=True)
    torch.save({"network": network.state_dict()}, folder / "checkpoint.pt")
    codec = speech_codec.load_codec(tmp_path)
    assert all(torch.equal(part, network.codec.state_dict()[name]) for name, part in codec.state_dict().items())
