from pathlib import Path

from causalkd.reporting.finetuning import finetuning_lines
from causalkd.reporting.pipeline_table import pipeline_lines
from causalkd.reporting.stored_tables import stored_lines
from tests.reporting.test_pipeline_table import FOUND
from tests.verification.results.test_finetuning import results


def test_stored_tables_are_those_that_were_printed(tmp_path: Path) -> None:
    assert stored_lines(tmp_path) is None
    tuned = results({"f1": 0.5})
    tuned.write(tmp_path / "finetune.json")
    assert stored_lines(tmp_path) == finetuning_lines(tuned)
    line = tmp_path / "pipeline"
    line.mkdir()
    FOUND.write(line / "results.json")
    assert stored_lines(line) is None  # any program may write a file of this name
    (line / "pipeline.yaml").write_text("{}")
    assert stored_lines(line) == pipeline_lines(FOUND)
