"""The callback in the real callback machinery of transformers, against a real binderyd.

PyTorch is too large for the tests, so that the loop of examples/huggingface.py makes the Trainer's
calls: to transformers' own CallbackHandler and DefaultFlowCallback, with its own TrainingArguments,
TrainerState and TrainerControl.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Recorder, steps
from servers import Servers, wait_for
from transformers import DefaultFlowCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from bindery_client import Client, Stage, Superseded
from bindery_client.huggingface import BinderyCallback

PROGRAM = Path(__file__).parents[1] / "examples" / "huggingface.py"

PIPELINE = """{"states": [{"name": "QUEUED"},
  {"name": "TRAINING", "weight": 1, "stall_after": "5 minutes",
    "substeps": [{"substep": "train", "weight": 9}, {"substep": "evaluate"}]},
  {"name": "TRAINED"}]}"""


def test_a_training_that_was_killed_continues_at_its_last_checkpoint(
    servers: Servers, book_id: str, tmp_path: Path
) -> None:
    servers.sql("select bindery.define_pipeline('finetune', %s)", PIPELINE)
    command = [sys.executable, str(PROGRAM), book_id, str(tmp_path)]
    environment = {**os.environ, "BINDERY_URL": servers.postgres_url}
    first = subprocess.Popen(command, env={**environment, "PAUSE": "0.1"})
    try:
        look = lambda: (servers.substep(book_id, "train").get("done") or 0) > 12  # noqa: E731
        wait_for(look, "13 steps", 40)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert servers.substep(book_id, "train")["checkpoint"]["step"] == 10
    assert servers.substep(book_id, "evaluate")["progress"] == 25
    run = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    beginning, result = run.stdout.split("\n")[:2]
    assert beginning == f"from {tmp_path}/checkpoint-10"
    assert float(result.removeprefix("root ")) == pytest.approx(2**0.5, abs=1e-4)
    row = servers.wait_for_book(book_id, status="TRAINED", error=None)
    assert row["overall_progress"] == 100
    training = servers.substep(book_id, "train")
    assert (training["progress"], training["checkpoint"]["step"]) == (100, 40)
    assert training["message"].startswith("loss ")
    evaluation = servers.substep(book_id, "evaluate")
    assert evaluation["progress"] == 100
    assert evaluation["message"].startswith("eval_loss ")
    assert servers.dead_letters(book_id) == 0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def stage(recorder: Recorder) -> Iterator[Stage]:
    client = Client(transport=recorder, interval=0)
    with client.book("b") as book, book.stage("S") as opened:
        yield opened
    client.close()


@pytest.fixture
def loop(stage: Stage, tmp_path: Path) -> Callable[..., None]:
    """A training with the real handler, whose state after each step is delivered."""

    def run(steps: int, until: int | None = None, **options: Any) -> None:
        callback = BinderyCallback(stage, **options.pop("callback", {}))
        is_first = options.pop("is_first", True)
        batches = options.pop("batches", range(2))
        args = TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, report_to="none", **options
        )
        state = TrainerState(max_steps=steps, is_world_process_zero=is_first)
        state.num_train_epochs, state.epoch = 2, 0
        state.compute_steps(args, steps)
        control = TrainerControl()
        handler = CallbackHandler([DefaultFlowCallback, callback], None, None, None, None)
        handler.eval_dataloader = batches

        def evaluate() -> None:
            nonlocal control
            for _ in range(2):
                control = handler.on_prediction_step(args, state, control)
                assert stage.book.flush(5)
            control = handler.on_evaluate(args, state, control, {})

        control = handler.on_train_begin(args, state, control)
        assert stage.book.flush(5)
        while not control.should_training_stop and state.global_step != until:
            state.global_step += 1
            control = handler.on_step_end(args, state, control)
            if state.global_step * 2 % steps == 0:
                state.epoch += 1
                control = handler.on_epoch_end(args, state, control)
            if control.should_evaluate:
                evaluate()
            assert stage.book.flush(5)
        handler.on_train_end(args, state, control)
        assert stage.book.flush(5)

    return run


def reported(recorder: Recorder, substep: str) -> list[str]:
    """The values that were reported, without repetition."""
    events = [e for e in recorder.of("progress") if e["substep"] == substep]
    values = [e.get("progress") or f"{e['done']}/{e['total']}" for e in events]
    return list(dict.fromkeys(values))


def test_steps_are_counted_and_evaluations_share_their_substep(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(4, eval_strategy="steps", eval_steps=2, save_strategy="no")
    assert reported(recorder, "train") == ["0/4", "1/4", "2/4", "3/4", "4/4", "100"]
    assert reported(recorder, "evaluate") == ["25", "50", "75", "100"]


def test_the_evaluations_of_epochs_are_expected_too(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(4, eval_strategy="epoch", save_strategy="no")
    assert reported(recorder, "evaluate") == ["25", "50", "75", "100"]


def test_a_training_that_stops_early_is_full(loop: Callable[..., None], recorder: Recorder) -> None:
    loop(8, until=2, eval_strategy="steps", eval_steps=2, save_strategy="no")
    assert reported(recorder, "train") == ["0/8", "1/8", "2/8", "100"]
    assert reported(recorder, "evaluate")[-2:] == ["25", "100"]


def test_batches_of_unknown_number_are_reported_at_the_end_of_the_evaluation(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(4, batches=iter(()), eval_strategy="steps", eval_steps=2, save_strategy="no")
    assert reported(recorder, "evaluate") == ["50", "100"]


def test_without_evaluations_their_substep_is_not_reported(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(2)
    loop(2, callback={"evaluate": None}, eval_strategy="steps", eval_steps=1)
    assert reported(recorder, "evaluate") == []


def test_of_several_processes_only_the_first_one_reports(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(2, is_first=False, eval_strategy="steps", eval_steps=1)
    assert steps(recorder.of("progress")) == []


def test_the_substeps_have_the_names_that_are_given(
    loop: Callable[..., None], recorder: Recorder
) -> None:
    loop(2, callback={"train": "tune", "evaluate": "test"}, eval_strategy="steps", eval_steps=1)
    assert reported(recorder, "tune")[-1] == "100"
    assert reported(recorder, "test")[-1] == "100"


def test_a_superseded_training_stops(
    loop: Callable[..., None], stage: Stage, recorder: Recorder
) -> None:
    stage._session.supersede("CANCELLED", 1)
    with pytest.raises(Superseded):
        loop(4)
    stage._session.superseded = None


def test_without_a_server_a_training_takes_no_longer(tmp_path: Path) -> None:
    began = time.monotonic()
    args = TrainingArguments(output_dir=str(tmp_path), max_steps=10**6, report_to="none")
    state, control = TrainerState(max_steps=10**6, is_world_process_zero=True), TrainerControl()
    with Client().book("b") as book, book.stage("S") as stage:
        handler = CallbackHandler([DefaultFlowCallback, BinderyCallback(stage)], *[None] * 4)
        for state.global_step in range(10_000):
            control = handler.on_step_end(args, state, control)
        assert BinderyCallback(stage).resume_from is None
    assert time.monotonic() - began < 3
