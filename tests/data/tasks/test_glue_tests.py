from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.glue_tests import GLUE_TESTS, unlabelled_rows
from causalkd.data.tasks.registry import TASKS
from tests.data.tiny_tokenizers import bert_like


def test_every_glue_task_has_its_test_rows() -> None:
    glue = {name for name, spec in TASKS.items() if spec.hub[:1] == ("nyu-mll/glue",)}
    assert set(GLUE_TESTS) == {*glue, "ax"} and len({test.submission for test in GLUE_TESTS.values()}) == len(glue) + 1


@pytest.mark.parametrize("task", GLUE_TESTS)
def test_the_official_file_and_the_hub_give_the_same_rows(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = GLUE_TESTS[task]
    spec, number = TASKS[test.task or task], "id" if task == "qqp" else "index"
    file = tmp_path / test.folder / f"{test.stem}.tsv"
    file.parent.mkdir()
    texts = ["the fox", "a dog"][: len(test.columns)]
    file.write_text("\t".join([number, *test.columns]) + "\n" + "\t".join(["7", *texts]) + "\n")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    here = unlabelled_rows(task, bert_like(), 32)
    assert here.origin == str(file) and len(here.tokenised.examples) == 1
    row = {column: [text] for column, text in zip(spec.fields, texts, strict=False)} | {"label": [-1], "idx": [7]}
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "empty"))
    asked = []

    def load(*given, **options):
        asked.append((given, options["split"]))
        return datasets.Dataset.from_dict(row)

    monkeypatch.setattr(datasets, "load_dataset", load)
    there = unlabelled_rows(task, bert_like(), 32)
    assert there.tokenised.examples == here.tokenised.examples and there.numbers == here.numbers == ("7",)
    assert asked == [(("nyu-mll/glue", spec.hub[1] if test.task is None else task), test.split)]
    file.write_text(number + "\t" + "\t".join(test.columns) + "\n")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="has no rows, so there is nothing to predict"):
        unlabelled_rows(task, bert_like(), 32)
