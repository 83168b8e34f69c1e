"""The callback of the Hugging Face Trainer, in a loop that makes the Trainer's calls.

    pip install 'bindery-client[huggingface,postgres]'
    export BINDERY_URL=postgresql://…
    python huggingface.py run-7 /tmp/run-7

It needs no PyTorch: `train` stands in for `Trainer(model, args, callbacks=[callback]).train()`. The
loop that calls the callbacks, with the Trainer's own `CallbackHandler`, is as in the Trainer. The
pipeline has a stage with the substeps `train` and `evaluate`:

    select bindery.define_pipeline('finetune', '{"states": [
      {"name": "QUEUED"},
      {"name": "TRAINING", "weight": 1, "stall_after": "5 minutes", "retry_after": "1 minute",
       "substeps": [{"substep": "train", "weight": 9}, {"substep": "evaluate"}]},
      {"name": "TRAINED"}]}');
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from transformers import DefaultFlowCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

import bindery_client as bindery
from bindery_client.huggingface import BinderyCallback

EVALUATION = range(4)


def train(args: TrainingArguments, callback: BinderyCallback, resume_from: str | None) -> float:
    """Find the root of 2 in the place of a model; return it."""
    handler = CallbackHandler([DefaultFlowCallback, callback], None, None, None, None)
    state, control, guess = TrainerState(max_steps=args.max_steps), TrainerControl(), 1.0
    if resume_from is not None:
        state.global_step, guess = json.loads(Path(resume_from, "state.json").read_text())
    state.num_train_epochs = 1
    state.compute_steps(args, args.max_steps)
    handler.eval_dataloader = EVALUATION
    control = handler.on_train_begin(args, state, control)
    while state.global_step < args.max_steps and not control.should_training_stop:
        control = handler.on_step_begin(args, state, control)
        time.sleep(float(os.environ.get("PAUSE", "0.02")))
        guess -= 0.1 * (guess * guess - 2)
        state.global_step += 1
        control = handler.on_step_end(args, state, control)
        if control.should_log:
            control = handler.on_log(args, state, control, {"loss": abs(guess * guess - 2)})
        if control.should_evaluate:
            for _ in EVALUATION:
                control = handler.on_prediction_step(args, state, control)
            metrics = {"eval_loss": abs(guess * guess - 2)}
            control = handler.on_log(args, state, control, metrics)
            control = handler.on_evaluate(args, state, control, metrics)
        if control.should_save:
            folder = Path(str(args.output_dir), f"checkpoint-{state.global_step}")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "state.json").write_text(json.dumps([state.global_step, guess]))
            control = handler.on_save(args, state, control)
    handler.on_train_end(args, state, control)
    return guess


def main(book_id: str, folder: str) -> None:
    """Train, or continue a training, as a book."""
    args = TrainingArguments(
        output_dir=folder,
        max_steps=40,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=10,
        save_steps=10,
        report_to="none",
    )
    with bindery.book(book_id, title="The root of 2", pipeline="finetune") as book:
        with book.stage("TRAINING") as stage:
            if not stage.is_done():
                callback = BinderyCallback(stage)
                print("from", callback.resume_from)
                print("root", train(args, callback, callback.resume_from))
        book.transition("TRAINED")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
