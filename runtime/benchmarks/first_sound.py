"""When a spoken answer is first heard, beside when all of it is; `omni bench first-sound`.

The published classes at small sizes with random weights: what is said is noise, when it is said is what counts. The
answer goes through the real engine; its sound is made as the server makes it, by another thread, stretch by stretch.
"""

import json
import queue
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import torch

from runtime.codecs.speech_stream import StreamingSpeechDecoder
from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished, SlotState, Sound, Speaker, StepOutput
from runtime.engine.recipe import PUBLISHED_SPEECH, Recipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone
from runtime.models.speech_flow.conformer import ConformerConfig
from runtime.models.speech_flow.flow import FlowConfig, SpeechFlow
from runtime.models.speech_flow.unet import UNetConfig
from runtime.models.vocoder import F0PredictorConfig, Vocoder, VocoderConfig
from runtime.server.content import GROWTH

NUM_CODES, MELS, WIDTH = 1024, 80, 64
SPEECH = replace(PUBLISHED_SPEECH, steps=51, commit="stable_prefix", commit_bound=1.0)


@dataclass(frozen=True)
class FirstSoundFigures:
    """Medians in milliseconds from the request on. ratio: first sound over the last.

    whole_ms: the last sound where the answer is decoded when it is complete, as without stretches.
    """

    ratio: float
    first_ms: float
    last_ms: float
    whole_ms: float
    sound_s: float
    steps: int
    answers: int
    threads: int


def speaking(model: OmniModel) -> OmniModel:
    """The model with the same text and pictures, and a voice, all of it random."""
    torch.manual_seed(0)
    first, stop = model.vocabulary.image
    vocabulary = Vocabulary.compact(model.text.num_tokens, NUM_CODES, stop - first)
    backbone = Backbone(replace(model.backbone.config, vocab_size=len(vocabulary)))
    flow = FlowConfig(
        input_size=WIDTH,
        output_size=MELS,
        spk_embed_dim=16,
        vocab_size=NUM_CODES,
        encoder=ConformerConfig(WIDTH, WIDTH, attention_heads=2, linear_units=2 * WIDTH, num_blocks=2, block_size=10),
        estimator=UNetConfig(
            4 * MELS, MELS, (WIDTH, WIDTH), attention_head_dim=32, n_blocks=1, num_mid_blocks=2, num_heads=2
        ),
    )
    vocoder = VocoderConfig(in_channels=MELS, base_channels=WIDTH, f0_predictor=F0PredictorConfig(MELS, WIDTH))
    voice = StreamingSpeechDecoder(SpeechFlow(flow), Vocoder(vocoder))
    return replace(model, backbone=backbone.eval(), vocabulary=vocabulary, voice=voice)


class Listener:
    """Takes the outputs of one answer and has its sound made, stretch by stretch."""

    def __init__(self, decoder: ThreadPoolExecutor) -> None:
        self.heard: queue.SimpleQueue[Future[tuple[Sound, float]] | None] = queue.SimpleQueue()
        self.finished: Finished | None = None
        self.finished_at = 0.0
        self._decoder, self._due = decoder, 0
        self._speaker: Speaker | None = None

    def __call__(self, output: EngineOutput) -> None:
        if isinstance(output, StepOutput | Finished):
            (slot,) = output.slots
            if self._speaker is None:
                assert slot.speaker is not None
                self._speaker = slot.speaker()
                self._due = self._speaker.hop
            if slot.complete or slot.settled >= self._due:
                self._due = round(GROWTH * slot.settled)
                self.heard.put(self._decoder.submit(self._say, self._speaker, slot))
        if isinstance(output, Finished):
            self.finished, self.finished_at = output, time.perf_counter()
            self.heard.put(None)

    @staticmethod
    def _say(speaker: Speaker, slot: SlotState) -> tuple[Sound, float]:
        return speaker.push(slot), time.perf_counter()


def measure_first_sound(model: OmniModel, answers: int = 5) -> FirstSoundFigures:
    """`answers` answers, one after the other, each also decoded whole when it has been heard."""
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone, "float32"))
    try:
        with ThreadPoolExecutor(1) as decoder:
            heard = [_hear(engine, decoder, index) for index in range(answers)]
    finally:
        engine.close()
    first, last = statistics.median(one.first_ms for one in heard), statistics.median(one.last_ms for one in heard)
    return FirstSoundFigures(
        ratio=first / last,
        first_ms=first,
        last_ms=last,
        whole_ms=statistics.median(one.whole_ms for one in heard),
        sound_s=heard[0].sound_s,
        steps=heard[0].steps,
        answers=answers,
        threads=torch.get_num_threads(),
    )


@dataclass(frozen=True)
class _Heard:
    first_ms: float
    last_ms: float
    whole_ms: float
    sound_s: float
    steps: int


def _hear(engine: DenoisingEngine, decoder: ThreadPoolExecutor, index: int) -> _Heard:
    listener, began = Listener(decoder), time.perf_counter()
    turn = Turn("user", (TextPart("good morning"),))
    engine.submit(GenerationRequest(str(index), (turn,), Recipe("speak", (SPEECH,)), index), listener)
    pieces = []
    while (piece := listener.heard.get()) is not None:
        pieces.append(piece.result())
    assert listener.finished is not None
    decoding = time.perf_counter()
    whole = listener.finished.slots[0].speech
    assert whole is not None
    decoded_s = time.perf_counter() - decoding
    sounding = [at for sound, at in pieces if len(sound.pcm)]
    return _Heard(
        first_ms=1000 * (sounding[0] - began),
        last_ms=1000 * (sounding[-1] - began),
        whole_ms=1000 * (listener.finished_at - began + decoded_s),
        sound_s=len(whole.pcm) / whole.sample_rate_hz,
        steps=listener.finished.steps,
    )


@click.command("first-sound")
@click.option("--answers", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Threads of the networks.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def first_sound(answers: int, threads: int, json_file: Path | None) -> None:
    """When a spoken answer is first heard, on random networks."""
    torch.set_num_threads(threads)
    figures = measure_first_sound(speaking(load_model(EMBEDDED)), answers)
    click.echo(
        f"{figures.sound_s:.1f} s of sound in {figures.steps} steps, "
        f"{figures.threads} threads, {figures.answers} answers\n"
        f"first sound   {figures.first_ms:7.0f} ms, {figures.ratio:.0%} of the last\n"
        f"last sound    {figures.last_ms:7.0f} ms\n"
        f"all at once   {figures.whole_ms:7.0f} ms, decoded when it is complete"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
