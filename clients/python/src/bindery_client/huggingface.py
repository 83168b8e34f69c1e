"""A callback of the Hugging Face `Trainer` that reports to a stage (extra `huggingface`).

from bindery_client.huggingface import BinderyCallback

callback = BinderyCallback(stage)
trainer = Trainer(model, args, train_dataset=texts, callbacks=[callback])
trainer.train(resume_from_checkpoint=callback.resume_from)
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from . import values

if TYPE_CHECKING:
    from transformers import TrainerControl as Control
    from transformers import TrainerState as State
    from transformers import TrainingArguments as Args

    from .stage import Stage

__all__ = ["BinderyCallback"]


class BinderyCallback(TrainerCallback):  # type: ignore[misc]
    """Reports the steps of a training and the batches of its evaluations as two substeps.

    Give it an open stage: a callback sees no exceptions, so the `with` of the stage makes the book
    FAILED. Of several processes only the first one (`is_world_process_zero`) reports.

    Args:
        stage: the stage to report to.
        train: the substep of the training, counted in optimizer steps.
        evaluate: the substep of all evaluations together. None: evaluations are not reported.

    Raises:
        Superseded: out of `Trainer.train`, once the book has left the attempt.
    """

    def __init__(
        self, stage: Stage, *, train: str = "train", evaluate: str | None = "evaluate"
    ) -> None:
        self._stage = stage
        self._train = values.name(train)
        self._evaluate = None if evaluate is None else values.name(evaluate)
        # Evaluations that are to come in all, that are finished, and the running one's batches.
        self._evaluations = 1
        self._finished = 0
        self._batches = 0

    @property
    def resume_from(self) -> str | None:
        """The folder of the last checkpoint that any attempt saved; None if it is not there.

        An argument for `Trainer.train(resume_from_checkpoint=…)`.
        """
        point = self._stage.resume_point
        saved = None if point is None else point.checkpoint(self._train)
        folder = saved.get("folder") if isinstance(saved, dict) else None
        return folder if isinstance(folder, str) and os.path.isdir(folder) else None

    def on_train_begin(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Report the step that the training begins at."""
        self._evaluations = _evaluations(args, state)
        self._finished = self._batches = 0
        if state.max_steps > 0:
            self._finished = self._evaluations * state.global_step // state.max_steps
        self._report_step(state)

    def on_step_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Report a step of the optimizer."""
        self._report_step(state)

    def on_train_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Report that all is done, also when the training stopped early."""
        if state.is_world_process_zero:
            self._stage.progress(100, self._train)
            if self._evaluations and self._evaluate is not None:
                self._stage.progress(100, self._evaluate)
        self._evaluations, self._finished = 1, 0

    def on_prediction_step(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Report a batch of an evaluation."""
        self._batches += 1
        try:
            batches = len(kwargs["eval_dataloader"])
        except (KeyError, TypeError):
            # How many there are is not known; the evaluation's end is reported.
            return
        self._report_evaluation(state, self._batches / max(batches, 1))

    def on_evaluate(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Report the end of an evaluation."""
        self._report_evaluation(state, 1)
        self._finished += 1
        self._batches = 0

    def on_predict(self, args: Args, state: State, control: Control, *_: Any, **__: Any) -> None:
        """Report the end of a prediction, which counts as an evaluation."""
        self.on_evaluate(args, state, control)

    def on_save(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Save where the Trainer has saved its checkpoint."""
        if state.is_world_process_zero:
            folder = os.path.abspath(f"{args.output_dir}/checkpoint-{state.global_step}")
            self._stage.checkpoint({"folder": folder, "step": state.global_step}, self._train)

    def on_log(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Show the loss beside the substep."""
        logs = kwargs.get("logs") or {}
        for key, substep in (("loss", self._train), ("eval_loss", self._evaluate)):
            loss = logs.get(key)
            if state.is_world_process_zero and substep and isinstance(loss, float):
                self._stage.message(f"{key} {loss:.4g}", substep)

    def _report_step(self, state: State) -> None:
        if state.is_world_process_zero and state.max_steps > 0:
            done, total = state.global_step, state.max_steps
            self._stage.progress(done=done, total=total, substep=self._train, unit="step")

    def _report_evaluation(self, state: State, part: float) -> None:
        if state.is_world_process_zero and self._evaluate is not None:
            done, total = self._finished + min(part, 1.0), max(self._evaluations, 1)
            self._stage.progress(100 * done / total, self._evaluate)


def _evaluations(args: Args, state: State) -> int:
    """Return how many evaluations a training will have, as far as it can be known before."""
    count = 1 if args.eval_on_start else 0
    if args.eval_strategy == "epoch":
        count += math.ceil(args.num_train_epochs if args.max_steps <= 0 else state.num_train_epochs)
    elif args.eval_strategy == "steps" and state.eval_steps:
        count += math.ceil(state.max_steps / state.eval_steps)
    return count
