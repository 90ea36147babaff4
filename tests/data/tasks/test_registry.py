from pathlib import Path
from typing import get_args

import pytest

from causalkd.data.tasks.registry import TASKS, Metric, Split, task_spec
from causalkd.task_types import TASK_TYPES


@pytest.mark.parametrize("name", TASKS)
def test_a_row_of_the_table_is_complete(name: str) -> None:
    spec = task_spec(name)
    assert spec.name == name and spec.kind in TASK_TYPES and spec.metric in get_args(Metric)
    assert set(spec.splits) <= set(get_args(Split)) and {"train", "validation"} <= set(spec.splits)
    assert bool(spec.labels) == (spec.kind in ("classification", "token_classification"))
    assert bool(spec.hub) == bool(spec.files) == (spec.generated is None)
    assert len({file.path for file in spec.files.values()}) == len(spec.files)


def test_every_kind_of_task_is_there() -> None:
    # Data of several labels a row are the user's own: the papers have none.
    assert {spec.kind for spec in TASKS.values()} == {*TASK_TYPES} - {"multi_label"}


def test_samples_of_the_training_split_say_so() -> None:
    for name, split in (("mnli", "validation"), ("qqp", "validation"), ("qnli", "train")):
        assert TASKS[name].files[split].note == "a sample of the official training split"
    assert TASKS["qnli"].files["validation"].note == ""


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("sst-2", "sst2"),
        ("SST2", "sst2"),
        ("wikitext", "wikitext_causal_lm"),
        ("plantd", "planted"),
        ("conll-2003", "conll2003"),
    ],
)
def test_an_unknown_task_gets_the_nearest_name(given: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"there is no task '{given}'; there are planted, .*Did you mean '{nearest}'"):
        task_spec(given)


def test_a_name_of_another_data_set_is_not_taken_for_a_short_one() -> None:
    for given in ("conll03_german", "commonsense_qa"):  # a nearest name of few letters would be any of them
        with pytest.raises(ValueError, match="Choose one of them, or give `path` and `kind` of your own data"):
            task_spec(given)


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(ValueError, match=rf"{list(TASKS)[-1]}\. Choose one of them"):
        task_spec("xyz")


ROWS = {
    "sst2": (67_349, 872),
    "cola": (8_551, 1_043),
    "mrpc": (3_668, 408),
    "rte": (2_490, 277),
    "wnli": (635, 71),
    "stsb": (5_749, 1_500),
    "qnli": (8_999, 5_463),
    "mnli": (8_999, 1_000),
    "qqp": (8_999, 1_000),
    "squad": (8_149, 1_190),
    "wnut17": (3_394, 1_009, 1_287),
    "wikitext_causal_lm": (1, 1, 1),
}


@pytest.mark.needs_data
@pytest.mark.parametrize("task", ROWS)
def test_real_files_have_the_rows_and_labels_they_should(data_folder: Path, task: str) -> None:
    spec = TASKS[task]
    tables = [file.read(data_folder / file.path) for file in spec.files.values()]
    assert tuple(len(rows) for rows in tables) == ROWS[task]
    for rows in tables:
        last = [row[-1] for row in rows]
        if spec.kind == "classification":
            assert set(last) in (set(spec.labels), {str(number) for number in range(len(spec.labels))})
        elif spec.kind == "token_classification":
            assert {tag for tags in last for tag in tags} == set(spec.labels)
        elif spec.kind == "regression":
            assert {min(map(float, last)), max(map(float, last))} == {0.0, 5.0}
        elif spec.kind == "question_answering":
            assert all(row[1].startswith(text, start) for row in rows for start, text in row[2])
