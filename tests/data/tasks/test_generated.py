import pytest

from causalkd.data.synthetic.registry import PLANTED, PLANTED_LM, GeneratedTask
from causalkd.data.synthetic.stories import PlantedLM
from causalkd.data.tasks.generated import causal_model, generated_task
from causalkd.data.tasks.loading import load_examples
from causalkd.data.tasks.registry import TASKS
from tests.data.tiny_tokenizers import gpt2_like


@pytest.mark.parametrize(("task", "made"), [("planted", PLANTED), ("planted_lm", PLANTED_LM)])
def test_generated_tasks_are_in_the_table_and_give_both_splits(task: str, made: GeneratedTask) -> None:
    assert generated_task(task) is made
    tokenizer = made.generator().tokenizer()
    train, heldout = (load_examples(task, split, tokenizer, limit=30, seed=3) for split in ("train", "validation"))
    assert train.kind == heldout.kind == TASKS[task].kind
    assert len(train.examples) == len(heldout.examples) == 30
    assert "task, train frames, seed 3" in train.origin and "task, heldout frames, seed 3" in heldout.origin


@pytest.mark.parametrize(("task", "made"), [("planted", PLANTED), ("planted_lm", PLANTED_LM)])
def test_every_generated_task_has_a_causal_model(task: str, made: GeneratedTask) -> None:
    rows, model = made.generator().examples("heldout", 6, 0), causal_model(task)
    assert model is not None and len(set(model.variables)) == len(model.variables)
    for variable in model.variables:
        assert model.counterfactuals(rows, rows, variable).reshape(6, -1).tolist() == [_answers(row) for row in rows]
    assert causal_model("sst2") is None


def _answers(row: dict) -> list[int]:
    if isinstance(row["label"], int):
        return [row["label"]]
    return [row["input_ids"][row["segments"][f"answer_{n}"][0]] for n in range(1, 5)]


def test_held_out_stories_are_labelled_at_their_answers() -> None:
    train, heldout = (
        load_examples("planted_lm", split, PlantedLM().tokenizer(), limit=5).examples
        for split in ("train", "validation")
    )
    for row in train:
        assert row["label"] == [-100, *row["input_ids"][1:]]
    for row in heldout:
        labelled = [place for place, label in enumerate(row["label"]) if label != -100]
        assert labelled == [row["segments"][f"answer_{n}"][0] for n in range(1, 5)]
        assert all(row["label"][place] == row["input_ids"][place] for place in labelled)


def test_a_generated_task_needs_its_own_vocabulary_and_room() -> None:
    with pytest.raises(ValueError, match=r"'planted_lm' has a vocabulary of its own.*PlantedLM\(\)\.tokenizer\(\)"):
        load_examples("planted_lm", "train", gpt2_like())
    with pytest.raises(ValueError, match="34 tokens a row, more than max_length 20"):
        load_examples("planted_lm", "train", PlantedLM().tokenizer(), limit=3, max_length=20)
