"""What was measured of a model goes where the model is replaced, and nothing else."""

from pathlib import Path

from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.measured_files import forget

OF_ONE = (
    *("evaluations/kd-seed1-sst2-validation.json", "evaluations/kd-seed1-sst2-validation.parquet"),
    *("evaluations/glue/kd-seed1", "responses/kd-seed1-dolly.jsonl"),
)
OTHERS = (
    *("evaluations/kd-seed10-sst2-validation.json", "evaluations/study.json", "evaluations/glue/kd-seed10/RTE.tsv"),
    *("responses/teacher-dolly.jsonl", "report.json", "evaluation.json"),
)


def test_only_what_was_measured_of_one_model_is_deleted(tmp_path: Path) -> None:
    for name in (*OF_ONE, *OTHERS, "evaluations/glue/kd-seed1/RTE.tsv", "found_alignment.yaml"):
        if name != "evaluations/glue/kd-seed1":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}")
    assert set(forget(RunFolder(tmp_path), {"kd-seed1", "student"})) == {*OF_ONE, "found_alignment.yaml"}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {*OTHERS}
    assert forget(RunFolder(tmp_path), {"kd-seed1"}) == []
