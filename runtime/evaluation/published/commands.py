"""`omni eval asr | tts | vqa | text-to-image DATA`: evaluation on published benchmarks."""

from collections.abc import Sequence
from pathlib import Path

import click

from runtime.engine.recipe import Recipe
from runtime.evaluation.published import asr as recognition
from runtime.evaluation.published import mme_files
from runtime.evaluation.published import text_to_image as drawing
from runtime.evaluation.published import tts as synthesis
from runtime.evaluation.published import vqa as questions
from runtime.evaluation.published.answer_log import AnswerLog
from runtime.evaluation.published.answerer import resized
from runtime.evaluation.published.conduct import Answers, Benchmark, finish, run
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.options import FOLDER, Options, takes_options
from runtime.evaluation.published.transcripts import NORMALISERS

HEARD, SPEECH, PICTURES, RESULTS = "heard.jsonl", "speech", "pictures", "results"

NORMALISER = click.option(
    "--normaliser",
    type=click.Choice(list(NORMALISERS)),
    default="whisper",
    show_default=True,
    help="How both texts are brought to one spelling before they are compared.",
)


@click.command()
@takes_options
@NORMALISER
def asr(options: Options, normaliser: str) -> None:
    """Word error rate of the model on recordings.

    DATA: LibriSpeech's folders, or a .jsonl or .tsv of audio and text.
    """
    normalise = NORMALISERS[normaliser]()
    utterances = recognition.read_utterances(options.data)[: options.limit]
    answers = run(
        options,
        Benchmark("asr", "text", recognition.RECIPES, utterances, recognition.TASK, recognition.Transcribed),
    )
    finish(options, answers, recognition.measure(answers.rows, normalise), normaliser=normaliser)


@click.command()
@takes_options
@NORMALISER
@click.option("--recogniser", "recogniser_folder", type=FOLDER, help="Folder of a Whisper model for CTranslate2.")
def tts(options: Options, normaliser: str, recogniser_folder: Path | None) -> None:
    """What an independent recogniser understands of the model's speech.

    DATA: LibriTTS's folders, or a .jsonl, .tsv or .txt of texts. Without --recogniser only duration and speed are
    measured; the speech is kept and can be judged later.
    """
    from runtime.evaluation.published.recogniser import FasterWhisper

    normalise = NORMALISERS[normaliser]()
    recogniser = FasterWhisper(recogniser_folder) if recogniser_folder else None
    sentences = synthesis.read_sentences(options.data)[: options.limit]
    out = options.out_of("tts")
    task = synthesis.speaking(out / SPEECH)
    answers = run(options, Benchmark("tts", "speech", synthesis.RECIPES, sentences, task, synthesis.Spoken))
    measures = [*synthesis.measure_speed(answers.rows)]
    if recogniser is not None:
        log = AnswerLog(out / HEARD, {"recogniser": recogniser.name}, synthesis.Heard)
        heard = list(synthesis.listen(answers.rows, out / SPEECH, recogniser, log))
        measures += synthesis.measure_errors(answers.rows, heard, normalise)
    judged_by = recogniser.name if recogniser else None
    finish(options, answers, measures, normaliser=normaliser, recogniser=judged_by)


@click.command()
@takes_options
def vqa(options: Options) -> None:
    """Accuracy, accuracy+ and score of MME.

    DATA: MME's folders; or a folder of answers in the files of its evaluation tool, which are scored as they are.
    With a recipe of the published model an answer has 8 positions and 8 steps, as in its paper. Answers are also
    written as files for MME's own tool.
    """
    results = mme_files.result_files(options.data)
    if results:
        _score(options, results)
        return
    queries = mme_files.read_queries(options.data)
    if options.limit is not None:
        queries = mme_files.first_pictures(queries, options.limit)
    answers = run(
        options,
        Benchmark(
            "vqa", "text", questions.RECIPES, queries, questions.TASK, questions.Replied, prepare=_as_in_the_paper
        ),
    )
    mme_files.write_results(answers.rows, options.out_of("vqa") / RESULTS)
    finish(options, answers, questions.measure(answers.rows))


def _as_in_the_paper(recipe: Recipe) -> Recipe:
    """The published model is given little room, for MME asks for one word; other models' recipes stay as they are."""
    if recipe.task != "VQA":
        return recipe
    return resized(recipe, "text", questions.PAPER_LENGTH, questions.PAPER_STEPS)


def _score(options: Options, results: Sequence[Path]) -> None:
    """No model is asked."""
    rows = mme_files.read_results(results)
    origin = {"task": "vqa", "model": f"answers in {options.data}", "recipe": {"name": "not known"}, "seed": 0}
    finish(options, Answers(rows, origin), questions.measure(rows))


@click.command("text-to-image")
@takes_options
@click.option("--judge", "judge_name", type=click.Choice(["clip", "probe"]), help="Who judges.  [default: nobody]")
@click.option("--clip", "clip_folder", type=FOLDER, help="Folder of a CLIP model of open_clip, for --judge clip.")
@click.option("--cache", type=FOLDER, help="Folder of the probe and its drawings.  [default: the training cache]")
def text_to_image(options: Options, judge_name: str | None, clip_folder: Path | None, cache: Path | None) -> None:
    """Draw prompts and judge the pictures.

    DATA: a file of prompts, .txt, .jsonl, .tsv or the .json of COCO captions. The judge clip compares picture and
    prompt; the judge probe knows the embedded model's world alone.
    """
    prompts = drawing.read_prompts(options.data)[: options.limit]
    judge = _judge(judge_name, clip_folder, cache)
    pictures = options.out_of("text-to-image") / PICTURES
    answers = run(
        options,
        Benchmark("text-to-image", "image", drawing.RECIPES, prompts, drawing.drawing(pictures), drawing.Drawn),
    )
    finish(options, answers, drawing.measure(answers.rows, pictures, judge), judge=judge_name)


def _judge(name: str | None, clip_folder: Path | None, cache: Path | None) -> drawing.Judge | None:
    """Loaded before anything is drawn. Raises SetupError."""
    from runtime.evaluation.image_probe import ProbeError, load_probe
    from runtime.evaluation.published.picture_judges import ClipJudge, OpenClip, ProbeJudge
    from runtime.training.data.drawings import DrawingsError
    from runtime.training.data.fetch import FetchError

    if name is None:
        return None
    if name == "clip":
        if clip_folder is None:
            raise SetupError("the judge clip needs a model; give its folder with --clip")
        return ClipJudge(OpenClip(clip_folder))
    try:
        return ProbeJudge(load_probe(cache))
    except (ProbeError, DrawingsError, FetchError) as error:
        raise SetupError(str(error)) from error


COMMANDS = (asr, tts, vqa, text_to_image)
