"""Written responses: prompts stay, labels are what was written, draws are a function of seed and step."""

import pytest
import torch

from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.data.synthetic.stories import VOCABULARY, PlantedLM
from causalkd.models.generation import Mixture, Sampling
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD
from causalkd.training.compute import BlockForwards
from causalkd.training.on_policy import OnPolicy, written_by_teacher
from tests.tiny import tiny
from tests.training.small import logged, trainer

ROWS = [
    {"input_ids": [2, 7, 8, 11, 13, 3], "label": [-100, -100, 8, 11, 13, 3]},
    {"input_ids": [2, 9, 8, 11], "label": [-100, -100, -100, 11]},
    {"input_ids": [2, 5], "label": [-100, 5]},
]
PROMPTS = [[2, 7], [2, 9, 8], [2]]


def model(role="student", seed=0):
    stock = tiny("gpt2", "causal_lm", seed=seed, layers=2)
    return HookedModel(stock, PlantedLM().tokenizer(), task="causal_lm", role=role)


def batch(side="right"):
    return Batch(pad(ROWS, 0, side), pad_labels(ROWS, side), index=torch.arange(3))


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_stay_and_what_is_written_is_labelled(side):
    found = OnPolicy(model(), Sampling(5), share=1.0)(batch(side), step=0)
    assert found.index is None and found.labels is not None
    for ids, labels, counted, prompt in zip(
        found.inputs["input_ids"], found.labels, found.counted, PROMPTS, strict=True
    ):
        text, learnt = ids[counted].tolist(), labels[counted].tolist()
        assert text[: len(prompt)] == prompt
        assert learnt == [-100] * len(prompt) + text[len(prompt) :]
        assert 1 <= len(text) - len(prompt) <= 5 and (labels[~counted] == -100).all()


def test_draws_are_a_function_of_seed_step_and_micro_batch():
    def written(*key):
        return OnPolicy(model(), Sampling(5), share=1.0, seed=key[0])(batch(), *key[1:]).inputs["input_ids"].tolist()

    assert written(0, 0, 0) == written(0, 0)
    assert len({str(written(*key)) for key in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))}) == 4


def test_a_share_of_the_batches_is_written():
    given = batch()
    source = OnPolicy(model(), Sampling(1), share=0.3)
    kept = sum(source(given, step) is given for step in range(200))
    assert 120 < kept < 160  # 140 expected, within three standard errors


def test_the_teacher_writes_a_share_of_the_examples_once():
    teacher = model("teacher", seed=1)
    every = written_by_teacher(teacher, ROWS, Sampling(5), 1.0, seed=0, batch_size=2)
    for row, prompt in zip(every, PROMPTS, strict=True):
        start, stop = row["segments"]["response"]
        assert row["input_ids"][:start] == prompt and stop == len(row["input_ids"]) > start
        assert row["label"] == [-100] * start + row["input_ids"][start:]
    assert every == written_by_teacher(teacher, ROWS, Sampling(5), 1.0, seed=0, batch_size=2)
    some = written_by_teacher(teacher, ROWS * 40, Sampling(1), 0.5, seed=0, batch_size=64)
    assert 40 < sum(row in ROWS for row in some) < 80
    greedy = written_by_teacher(teacher, ROWS, Sampling(4, 0.0), 1.0, seed=0, batch_size=1)
    assert greedy == written_by_teacher(teacher, ROWS, Sampling(4, 0.0), 1.0, seed=1, batch_size=3)


def test_what_cannot_be_written_again_is_refused():
    source = OnPolicy(model(), Sampling(3), share=1.0)
    with pytest.raises(ValueError, match="a label per token; these have none"):
        source(Batch(batch().inputs), 0)
    packed = {**batch().inputs, "documents": batch().inputs["attention_mask"]}
    with pytest.raises(ValueError, match="rows cannot be packed"):
        source(Batch(packed, batch().labels), 0)
    labels = batch().labels
    assert labels is not None
    labels[1] = -100
    with pytest.raises(ValueError, match="1 of 3 rows of a batch have no labelled token"):
        source(Batch(batch().inputs, labels), 0)
    unlabelled = [*ROWS, {"input_ids": [2, 5], "label": [-100, -100]}]
    with pytest.raises(ValueError, match="1 of 4 examples have no labelled token"):
        written_by_teacher(model("teacher"), unlabelled, Sampling(3), 1.0, 0, 2)
    with pytest.raises(ValueError, match="have labels and are not packed"):
        written_by_teacher(model("teacher"), [{"input_ids": [1, 2], "label": 1}], Sampling(3), 1.0, 0, 2)


def test_a_student_learns_on_what_it_writes(tmp_path):
    """The trainer's loss is that of the written batch; the teacher is compared on it; generation is not counted."""
    terms = {"response_kd": Weighted(1.0, ResponseKD(1.0, "labelled"))}
    runs = []
    for mixture in (False, False, True):
        teacher, student = model("teacher", seed=1), model()
        source = OnPolicy(student, Sampling(6), 1.0, Mixture(teacher, 0.5) if mixture else None, seed=4)
        one = trainer(tmp_path / str(len(runs)), (teacher, student), terms, max_steps=3)
        one._sequences, one.train_dataset.examples = source, ROWS * 8
        counter = BlockForwards()
        with counter.counting(student, teacher):
            one.data_collator = lambda rows: {k: v for k, v in batch().tensors().items() if k != "index"}
            one.train()
        runs.append(logged(one))
        assert counter.total == 3 * (3 * 2 * 3 + 3 * 2)
    assert len(runs[0]) == 3 and runs[0] == runs[1] != runs[2]
    assert VOCABULARY["[PAD]"] == 0
