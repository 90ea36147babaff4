"""DistillationTrainer: the sum of its terms, repeatable to the bit, resumable, the teacher untouched."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, TrainingArguments

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.compiled_blocks import compiled_blocks
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Requirements, StepContext, Weighted
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training import trainer as module
from causalkd.training.trainer import DistillationTrainer
from tests.tiny import PAD, tiny, tiny_inputs
from tests.training.small import examples, logged, models, objectives, same, trainer, weights

TERMS = ("task", "response_kd", "hidden_kd", "diito")


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    finished = []
    for seed in (0, 0, 1):
        pair = models()
        torch.manual_seed(len(finished))  # whatever was drawn before the trainer was made
        one = trainer(tmp_path / str(len(finished)), pair, seed=seed)
        one.train()
        finished.append((logged(one), weights(pair[1])))
    assert len(finished[0][0]) == 6 and finished[0][0] == finished[1][0] != finished[2][0]
    assert same(finished[0][1], finished[1][1]) and not same(finished[0][1], finished[2][1])


@pytest.mark.parametrize("order", ["random", "group_by_length"])
@pytest.mark.parametrize("stop", [2, 3, 4])  # within the first epoch, at its end, and within the second one
def test_resuming_equals_never_stopping(tmp_path: Path, stop: int, order: str) -> None:
    """Dropout, order, sources, positions, site pair, optimizer and projection all go on where they were."""
    pair, again = models(), models()
    saving = {"save_strategy": "steps", "save_steps": stop}
    ordered = {"train_sampling_strategy": order}
    whole = trainer(tmp_path / "whole", pair, objectives(*pair, projection=True), **saving, **ordered)
    whole.train()
    resumed = trainer(tmp_path / "resumed", again, objectives(*again, projection=True), **ordered)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{stop}"))
    assert logged(resumed) == logged(whole)
    assert same(weights(again[1]), weights(pair[1]))
    for mine, expected in zip(
        resumed.objectives["hidden_kd"].objective.parameters(),  # type: ignore[attr-defined]
        whole.objectives["hidden_kd"].objective.parameters(),  # type: ignore[attr-defined]
        strict=True,
    ):
        assert torch.equal(mine, expected)


def test_accumulated_gradients_equal_one_large_batch(tmp_path: Path) -> None:
    """Rows, sources and positions are the same ones, since sources are drawn within groups of four rows."""
    finished = []
    for size, times in ((8, 1), (4, 2)):
        pair = models(dropout=0.0, dtype=torch.float64)
        one = trainer(
            tmp_path / str(size),
            pair,
            group=4,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=times,
            optim="sgd",
            learning_rate=0.05,
        )
        one.train()
        finished.append((one, weights(pair[1])))
    (large, of_large), (small, of_small) = finished
    for key in ("loss", "term/task", "term/response_kd", "term/hidden_kd", "term/diito"):
        assert logged(small, key) == pytest.approx(logged(large, key), rel=1e-6), key
    for name, weight in of_large.items():
        torch.testing.assert_close(of_small[name], weight, rtol=1e-8, atol=1e-8, msg=name)


def test_terms_are_logged_unweighted_and_averaged(tmp_path: Path) -> None:
    every = trainer(tmp_path / "every", models())
    every.train()
    second = trainer(tmp_path / "second", models(), logging_steps=2)
    second.train()
    weight_of = {name: weighted.weight for name, weighted in every.objectives.items()}
    total = [0.0] * 6
    for name in TERMS:
        values = logged(every, f"term/{name}")
        assert len(values) == 6 and min(values) > 0
        pairs = [(values[2 * n] + values[2 * n + 1]) / 2 for n in range(3)]
        assert logged(second, f"term/{name}") == pytest.approx(pairs)
        total = [sum_so_far + weight_of[name] * value for sum_so_far, value in zip(total, values, strict=True)]
    assert logged(every) == pytest.approx(total, rel=1e-4)


def test_the_teacher_is_untouched(tmp_path: Path) -> None:
    teacher, student = models()
    before = weights(teacher)
    trainer(tmp_path, (teacher, student)).train()
    assert same(weights(teacher), before)
    assert not teacher.model.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.model.parameters())


def test_a_training_that_diverges_ends_with_a_word(tmp_path: Path) -> None:
    spoilt = trainer(tmp_path, models(), learning_rate=1e30)
    with pytest.raises(
        ValueError, match=r"at step \d these values are not finite: .*term/task.* The training has diverged; lower"
    ):
        spoilt.train()
    unlogged = trainer(tmp_path, models(), max_steps=2, learning_rate=1e30, logging_strategy="no")
    with pytest.raises(
        ValueError, match=r"at step 2 these values are not finite: .*task.* The training has diverged; lower"
    ):
        unlogged.train()
    spoilt.student.model.classifier.bias.data[0] = math.nan
    with pytest.raises(ValueError, match=r"weights, such as .*, are not finite. The training has diverged"):
        spoilt.check_weights()


def test_a_teacher_in_half_precision_teaches_a_student_in_float32(tmp_path: Path) -> None:
    teacher, student = models()
    teacher.model.bfloat16()
    trained = trainer(tmp_path, (teacher, student), max_steps=2)
    trained.train()
    assert len(logged(trained)) == 2 and all(math.isfinite(loss) for loss in logged(trained))
    assert student.model.dtype == torch.float32


def test_a_checkpoint_is_a_stock_checkpoint(tmp_path: Path) -> None:
    teacher, student = models()
    trainer(tmp_path, (teacher, student), save_strategy="steps", save_steps=6).train()
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-6").eval()
    student.model.eval()
    inputs = tiny_inputs()
    assert torch.equal(stock(**inputs).logits, student.run(inputs).logits)
    assert not (tmp_path / "checkpoint-6" / "objectives.safetensors").exists()


def test_one_loss_is_the_weighted_sum(tmp_path: Path) -> None:
    teacher, student = models(dropout=0.0)
    one = trainer(tmp_path, (teacher, student))
    rows = [ExampleSet(examples())[number] for number in range(8)]
    inputs = one.data_collator(rows)
    loss, outputs = one.compute_loss(student.model, inputs, return_outputs=True)
    assert torch.equal(outputs["logits"], student.model(**Batch.from_tensors(inputs).inputs).logits)
    alone = [
        DistillationTrainer(student, {name: Weighted(1.0, weighted.objective)}, teacher, args=one.args)
        for name, weighted in one.objectives.items()
    ]
    terms = [each.compute_loss(student.model, inputs).item() for each in alone]
    weight_of = [weighted.weight for weighted in one.objectives.values()]
    assert loss.item() == pytest.approx(sum(w * term for w, term in zip(weight_of, terms, strict=True)))


class _Infinite:
    def requirements(self) -> Requirements:
        return Requirements()

    def __call__(self, run: StepContext) -> torch.Tensor:
        return run.student_run.logits.sum() * math.inf


def test_a_term_of_weight_0_is_logged_and_reaches_no_weight(tmp_path: Path) -> None:
    terms = {"task": Weighted(1.0, TaskLoss())}
    alone = trainer(tmp_path, models(), terms)
    alone.train()
    beside = trainer(tmp_path, models(), {**terms, "kd": Weighted(0.0, ResponseKD())})
    beside.train()
    assert same(weights(alone.student), weights(beside.student)) and logged(alone) == logged(beside)
    assert all(value > 0 for value in logged(beside, "term/kd"))
    nothing = trainer(tmp_path, models(), {"kd": Weighted(0.0, ResponseKD())})
    with pytest.raises(ValueError, match="every objective has weight 0"):
        nothing.train()
    infinite = trainer(tmp_path, models(), {**terms, "infinite": Weighted(0.0, _Infinite())})
    with pytest.raises(ValueError, match="not finite: term/infinite"):
        infinite.train()  # still told, since a term that is no number shows that something is wrong


def test_evaluation_changes_no_logged_term(tmp_path: Path) -> None:
    one = trainer(tmp_path, models(dropout=0.0))
    other = trainer(tmp_path, models(dropout=0.0))
    one._measure = lambda: {"measured": 1.0}
    assert one.evaluate()["eval_measured"] == 1.0
    one.train()
    other.train()
    assert logged(one, "term/diito") == logged(other, "term/diito")


def test_a_model_is_trained_on_its_task_alone(tmp_path: Path) -> None:
    _, student = models()
    one = trainer(tmp_path, models())
    alone = DistillationTrainer(
        student,
        {"task": Weighted(1.0, TaskLoss())},
        args=one.args,
        train_dataset=one.train_dataset,
        data_collator=one.data_collator,
    )
    before = weights(student)
    alone.train()
    assert not same(weights(student), before) and len(logged(alone, "term/task")) == 6


def test_what_cannot_be_trained() -> None:
    teacher, student = models()
    task = {"task": Weighted(1.0, TaskLoss())}
    with pytest.raises(ValueError, match="there is nothing to train on: name at least one objective, such as `task`"):
        DistillationTrainer(student, {}, teacher)
    with pytest.raises(ValueError, match="was loaded as a teacher, which is frozen; load it with role='student'"):
        DistillationTrainer(teacher, task)
    other = HookedModel(tiny("bert", "classification", labels=2), task="classification", role="student")
    with pytest.raises(ValueError, match=r"the teacher's labels are .*; load both with the same labels"):
        DistillationTrainer(other, {"response_kd": Weighted(1.0, ResponseKD())}, teacher)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_student_of_compiled_blocks_learns_the_same_and_is_saved_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "compiled_blocks", partial(compiled_blocks, backend="eager"))
    found = []
    for compiled in (False, True):
        teacher, student = models(dropout=0.0)
        terms = objectives(teacher, student)
        trained = trainer(tmp_path, (teacher, student), terms, compile_blocks=compiled, max_steps=2)
        trained.train()
        found.append(student.model.state_dict())
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_what_measures_the_student_meets_it_without_dropout(tmp_path: Path) -> None:
    modes = list[bool]()
    student = models()[1]

    def looked() -> dict[str, float]:
        modes.append(any(module.training for module in student.model.modules()))
        return {"found": 1.0}

    args = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        per_device_train_batch_size=4,
    )
    rows = examples()
    DistillationTrainer(
        student,
        {"task": Weighted(1.0, TaskLoss())},
        watch=lambda _: looked(),
        measure=looked,
        args=args,
        train_dataset=ExampleSet(rows),
        eval_dataset=ExampleSet(rows),
        data_collator=PairingCollator(rows, {}, PAD),
    ).train()
    assert modes == [False] * 4 and student.model.training
