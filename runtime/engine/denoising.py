"""The denoising engine: every step takes some responses one unmasking further. See `step`."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from runtime.codecs.image import ImageCodec
from runtime.engine.active_response import ActiveResponse
from runtime.engine.admission import Admission, Admitted
from runtime.engine.changes import Change, Finalizing, Reseeding, Steering
from runtime.engine.edits import EditError
from runtime.engine.engine import Reply, Sink, Told
from runtime.engine.model import OmniModel
from runtime.engine.output import EngineOutput, Finished, Started, Status, StepOutput
from runtime.engine.past import Past
from runtime.engine.preview import Previewer
from runtime.engine.recipe import Recipe
from runtime.engine.reference_response import ReferenceResponse
from runtime.engine.request import GenerationRequest
from runtime.engine.scheduler import Ledger, choose
from runtime.engine.waiting import Waiting, WaitingRoom, deliver
from runtime.executors.executor import Executor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineLimits:
    """canvas_positions: the longest canvas taken. batch_positions: padded positions a step works on, about.

    waiting_requests: how many may wait to be laid out; more are refused at once.
    """

    canvas_positions: int = 512
    batch_positions: int = 4096
    waiting_requests: int = 256


Command = Callable[[], None]


class DenoisingEngine:
    """Implements Engine on an executor, in a thread of its own.

    All state belongs to that thread; the public methods only leave commands for it. With `start=False` there is no
    thread and the caller turns the crank himself with `run_commands` and `step`.
    """

    def __init__(
        self,
        model: OmniModel,
        executor: Executor,
        limits: EngineLimits = EngineLimits(),
        *,
        clock: Callable[[], float] = time.monotonic,
        start: bool = True,
    ) -> None:
        image = ImageCodec(model.image_tokenizer, model.image_size_px)
        self._vocabulary, self._narrator = model.vocabulary, model.narrator
        self._dtype = model.backbone.lm_head.weight.dtype
        self._executor = executor
        self._limits = limits
        self._clock = clock  # seconds
        self._admission = Admission(model, image, limits.canvas_positions)
        self._previewer = Previewer(model.vocabulary, model.text, image, model.voice)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._waiting = WaitingRoom(limits.waiting_requests)
        self._active: dict[str, ActiveResponse] = {}
        self._past = Past()
        self._ledger = Ledger()
        self._num_served = 0
        self._step_s = 0.0  # how long a step takes these days
        self._num_chosen = 1  # responses that shared the last one
        self._closed = False
        self._gate = threading.Lock()
        self._closing = False  # guarded by the gate, all else belongs to the thread
        self._started = start
        self._thread = threading.Thread(target=self._run, name="denoising-engine", daemon=True)
        if start:
            self._thread.start()

    @property
    def num_active(self) -> int:
        """Responses being made, for who turns the crank himself."""
        return len(self._active)

    # What others call, from any thread.

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """As Engine.submit. After `close` the request is cancelled at once, in the caller's thread."""
        waiting = Waiting(request, sink, self._clock())
        with self._gate:
            if not self._closing:
                self._commands.put(lambda: self._accept(waiting))
                return
        waiting.refuse("cancelled")

    def cancel(self, request_id: str) -> None:
        self._commands.put(lambda: self._cancel(request_id))

    def finalize(self, request_id: str) -> None:
        self._commands.put(lambda: self._finalize(request_id))

    def change(self, request_id: str, change: Change, told: Told) -> None:
        self._commands.put(lambda: self._tell(request_id, told, partial(self._make, change=change)))

    def fork(self, request_id: str, new_id: str, seed: int, sink: Sink, at_step: int | None = None) -> None:
        self._commands.put(lambda: self._fork(request_id, new_id, seed, sink, at_step))

    def forget(self, request_id: str) -> None:
        self._commands.put(lambda: self._past.forget(request_id))

    def close(self) -> None:
        """Returns when the thread has ended; from the engine's own thread (a sink) at once."""
        with self._gate:  # nothing is submitted behind the command to close, so nothing is left without an end
            self._closing = True
            self._commands.put(self._close)
        if not self._started:
            self.run_commands()
        elif threading.current_thread() is not self._thread:
            self._thread.join()

    # The engine's thread.

    @torch.inference_mode()
    def _run(self) -> None:
        while not self._closed:
            self.run_commands(wait=not self._active and not self._waiting)
            self.admit_next()
            self.step()

    def run_commands(self, wait: bool = False) -> None:
        """Do what was asked since the last step; with `wait`, wait until something is."""
        try:
            while True:
                self._commands.get(block=wait)()
                wait = False
        except queue.Empty:
            return

    def admit_next(self) -> None:
        """Lay out the longest waiting request. One between two steps: encoding media takes time."""
        waiting = self._waiting.next()
        if waiting is not None:
            self._admit(waiting)

    def step(self) -> None:
        """Schedule, forward, denoise, publish. Without active responses nothing happens."""
        began_s = self._clock()
        chosen = self._schedule()
        for response, scores in self._forward(chosen):
            if self._denoise(response, scores):
                self._publish(response)
        if chosen:
            self._note_pace(self._clock() - began_s)

    def _note_pace(self, took_s: float) -> None:
        """A running mean, so that one slow step does not cost an answer its steps."""
        self._step_s = took_s if not self._step_s else 0.8 * self._step_s + 0.2 * took_s

    def _schedule(self) -> list[ActiveResponse]:
        self._ledger.keep({response.tenant for response in self._active.values()})
        chosen = choose(self._active.values(), self._limits.batch_positions, self._ledger.served)
        now_s = self._clock()
        self._num_chosen = max(1, len(chosen))
        rounds = len(self._active) / self._num_chosen  # steps until it is served again, about
        for response in chosen:
            self._num_served += 1
            self._ledger.charge(response)
            response.last_served, response.served_s = self._num_served, now_s
            response.keep_pace(now_s, self._step_s * rounds)
        return chosen

    def _forward(self, chosen: Sequence[ActiveResponse]) -> list[tuple[ActiveResponse, list[Tensor]]]:
        """One pass for all; if it fails, each alone, so that only the guilty fails."""
        if not chosen:
            return []
        try:
            work = [(response, response.items()) for response in chosen]
            scores = iter(self._executor.forward([item for _, items in work for item in items]))
            return [(response, [next(scores) for _ in items]) for response, items in work]
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the engine lives on
            if len(chosen) == 1:
                self._fail(chosen[0], error)
                return []
            log.warning("a forward pass of %d responses failed, trying each alone: %s", len(chosen), error)
        return [done for response in chosen for done in self._forward([response])]

    def _denoise(self, response: ActiveResponse, scores: list[Tensor]) -> bool:
        try:
            response.advance(scores, self._vocabulary)
            self._make_due(response)
            return True
        except Exception as error:  # noqa: BLE001
            self._fail(response, error)
            return False

    def _publish(self, response: ActiveResponse) -> None:
        """A partial if one is due, or the end."""
        every = response.request.partial_every
        try:
            if response.complete:
                self._end(response, "incomplete" if response.committing else "completed")
            elif every and response.num_steps % every == 0:
                self._send(response, self._partial(response))
        except Exception as error:  # noqa: BLE001
            self._fail(response, error)

    # Commands, run between steps.

    def _accept(self, waiting: Waiting) -> None:
        if self._taken(waiting):
            self._waiting.enter(waiting)

    def _taken(self, waiting: Waiting) -> bool:
        """False, and told so, if its id is taken by another one."""
        request_id = waiting.request_id
        if request_id not in self._active and request_id not in self._waiting:
            return True
        waiting.refuse("failed", f"a request {request_id!r} is running already; choose another id")
        return False

    def _tell(self, request_id: str, told: Told, make: Callable[[ActiveResponse], None]) -> None:
        """Make a change between two steps and tell what became of it."""
        response = self._active.get(request_id)
        try:
            if response is None:
                raise EditError(self._not_running(request_id))
            make(response)
        except ValueError as error:  # EditError, AdmissionError, ImageError
            reply = Reply(request_id, 0 if response is None else response.num_steps, str(error))
        else:
            reply = Reply(request_id, response.num_steps)
        try:
            told(reply)
        except Exception:
            log.exception("the receiver of a reply about request %s failed", request_id)

    def _make(self, response: ActiveResponse, change: Change) -> None:
        """Raises EditError and, of other turns that cannot be laid out, AdmissionError and ImageError."""
        laid = None
        if isinstance(change, Steering):
            laid = self._admission.lay_out_again(response.request.turns, change.turns, response.recipe)
        response.change(change, laid)

    def _make_due(self, response: ActiveResponse) -> None:
        """The changes that the request wants after as many steps as were run."""
        for dated in response.request.changes:
            if dated.at_step == response.num_steps:
                try:
                    self._make(response, dated.change)
                except ValueError as error:
                    raise EditError(f"the change after step {dated.at_step} cannot be made: {error}") from error

    def _not_running(self, request_id: str) -> str:
        if request_id in self._waiting:
            return f"request {request_id!r} has not begun yet; change it when it has started"
        return f"no request {request_id!r} is running; it is finished or was never begun; ask anew instead"

    def _fork(self, request_id: str, new_id: str, seed: int, sink: Sink, at_step: int | None) -> None:
        parent = self._active.get(request_id) or (self._past.get(request_id) if at_step is not None else None)
        request = GenerationRequest(new_id, (), Recipe(new_id, ())) if parent is None else parent.request
        waiting = Waiting(replace(request, request_id=new_id, changes=()), sink, self._clock())
        if parent is None:
            waiting.refuse("failed", self._not_running(request_id))
        elif self._taken(waiting):
            try:
                child = parent.fork(waiting.request, sink, waiting.submitted_s, at_step)
                child.change(Reseeding(seed))
            except EditError as error:
                waiting.refuse("failed", str(error), refused=True)
            else:
                self._begin(child)

    def _cancel(self, request_id: str) -> None:
        self._waiting.cancel(request_id)
        if request_id in self._active:
            self._end(self._active[request_id], "cancelled")

    def _finalize(self, request_id: str) -> None:
        self._waiting.finalize(request_id)
        if request_id in self._active:
            self._active[request_id].change(Finalizing())

    def _close(self) -> None:
        self._closed = True
        for request_id in [waiting.request_id for waiting in self._waiting] + list(self._active):
            self._cancel(request_id)

    # The life of a response.

    def _admit(self, waiting: Waiting) -> None:
        request = waiting.request
        if (busy := self._too_busy_for(request)) is not None:
            waiting.refuse("failed", busy, overloaded=True)
            return
        try:
            admitted = self._admission.admit(request)
        except ValueError as error:  # of the request: AdmissionError, ImageError, EditError
            waiting.refuse("failed", str(error), refused=True)
            return
        except Exception as error:
            log.exception("request %s could not be laid out", request.request_id)
            waiting.refuse("failed", f"the request could not be laid out: {error}")
            return
        response = self._response(waiting, admitted)
        response.remember()
        if waiting.finalize:
            response.change(Finalizing())
        self._begin(response)

    def _too_busy_for(self, request: GenerationRequest) -> str | None:
        """Why there is no point in beginning: alone it would meet its deadline, among all the others it will not."""
        if request.deadline_ms is None or not self._active:
            return None
        alone_ms = 1000 * self._step_s * request.floor_steps
        expected_ms = alone_ms * (1 + len(self._active)) / self._num_chosen
        if alone_ms > request.deadline_ms or expected_ms <= request.deadline_ms:
            return None
        return (
            f"overloaded: {len(self._active)} answers are being made, the first steps of this one would be done in "
            f"about {expected_ms:.0f} ms, after its deadline of {request.deadline_ms} ms; "
            "ask again soon or allow more time"
        )

    def _begin(self, response: ActiveResponse) -> None:
        request = response.request
        self._active[request.request_id] = response
        try:
            if not response.num_steps:
                self._make_due(response)
            slots = response.states(self._previewer)
        except Exception as error:  # noqa: BLE001
            self._fail(response, error)
            return
        self._send(response, Started(request.request_id, slots, response.planned_steps, response.seed))

    def _response(self, waiting: Waiting, admitted: Admitted) -> ActiveResponse:
        make: Callable[..., ActiveResponse] = ActiveResponse
        if admitted.reference is not None:
            prompt, decoding = admitted.reference
            make = partial(
                ReferenceResponse, prompt=prompt, decoding=decoding, vocabulary=self._vocabulary, dtype=self._dtype
            )
        return make(
            request=waiting.request,
            sink=waiting.sink,
            submitted_s=waiting.submitted_s,
            recipe=admitted.recipe,
            canvas=admitted.canvas,
            unprompted=admitted.unprompted,
            began_s=self._clock(),
            narrator=self._narrator,
            hearing=admitted.hearing,
            grounds=admitted.grounds,
        )

    def _partial(self, response: ActiveResponse) -> StepOutput:
        return StepOutput(
            request_id=response.request.request_id,
            step=response.num_steps,
            steps=response.planned_steps,
            unmasked_ratio=response.canvas.unmasked_ratio,
            eta_ms=response.eta_ms(self._clock()),
            slots=response.states(self._previewer),
        )

    def _end(self, response: ActiveResponse, status: Status) -> None:
        """Finish; what cannot even be shown has failed."""
        try:
            self._finish(response, status)
        except Exception as error:  # noqa: BLE001
            self._fail(response, error)

    def _finish(self, response: ActiveResponse, status: Status, error: str | None = None) -> None:
        del self._active[response.request.request_id]
        if error is None:
            self._past.keep(response)
        finished = Finished(
            request_id=response.request.request_id,
            status=status,
            slots=response.states(self._previewer) if error is None else (),
            usage=response.usage(),
            steps=response.num_steps,
            planned_steps=response.recipe.steps,
            unmasked_per_step=tuple(response.unmasked_per_step),
            error=error,
            record=response.record,
        )
        deliver(response.sink, finished)

    def _fail(self, response: ActiveResponse, error: Exception) -> None:
        log.error("request %s failed", response.request.request_id, exc_info=error)
        # It may be out already, if publishing its end is what failed.
        self._active.setdefault(response.request.request_id, response)
        told = str(error) if isinstance(error, EditError) else f"the model failed on this request: {error}"
        self._finish(response, "failed", told)

    def _send(self, response: ActiveResponse, output: EngineOutput) -> None:
        """A sink that raises has nobody behind it any more: its response is dropped."""
        if not deliver(response.sink, output):
            self._active.pop(response.request.request_id, None)
