from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.glue_tests import GLUE_TESTS, unlabelled_rows
from causalkd.data.tasks.registry import TASKS
from tests.data.tiny_tokenizers import bert_like


def test_every_glue_task_has_its_test_rows() -> None:
    glue = {name for name, spec in TASKS.items() if spec.hub[:1] == ("nyu-mll/glue",)}
    assert set(GLUE_TESTS) == glue and len({test.submission for test in GLUE_TESTS.values()}) == len(glue)


@pytest.mark.parametrize("task", GLUE_TESTS)
def test_the_official_file_and_the_hub_give_the_same_rows(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, spec = GLUE_TESTS[task], TASKS[task]
    file = tmp_path / test.folder / f"{test.stem}.tsv"
    file.parent.mkdir()
    texts = ["the fox", "a dog"][: len(test.columns)]
    file.write_text("\t".join(["index", *test.columns]) + "\n" + "\t".join(["0", *texts]) + "\n")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    here, origin = unlabelled_rows(task, bert_like(), 32)
    assert origin == str(file) and len(here.examples) == 1
    row = {column: [text] for column, text in zip(spec.fields, texts, strict=False)} | {"label": [-1]}
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "empty"))
    asked = []

    def load(*given, **options):
        asked.append((given, options["split"]))
        return datasets.Dataset.from_dict(row)

    monkeypatch.setattr(datasets, "load_dataset", load)
    there, _ = unlabelled_rows(task, bert_like(), 32)
    assert there.examples == here.examples and asked == [(("nyu-mll/glue", spec.hub[1]), test.split)]
