"""Reports of a made-up study whose numbers are known, and the study."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from causalkd.recipe.study import Study
from causalkd.reporting.study_measures import CellResult
from causalkd.verification.results.report import VerificationReport
from tests.example_report import example_report

ACCURACIES = {"one": (0.70, 0.72, 0.71), "other": (0.80, 0.81, 0.83)}
"""Of each variant's only student, by seed."""
FAILURE = "ValueError: the third seed of 'other' failed"


def example_study(folder: Path, **keys: Any) -> Study:
    """Two variants, three seeds, no run."""
    student = [{"name": "only", "layers": [0], "objectives": {"task": {}}}]
    file = folder / "study.yaml"
    variants = {name: {"students": student, "data.train_limit": 10 + len(name)} for name in ACCURACIES}
    content = {"name": "example", "recipe": "quickstart", "variants": variants, "seeds": [0, 1, 2]}
    file.write_text(json.dumps({**content, "output": str(folder / "out"), **keys}))
    return Study.load(file)


def example_results(study: Study, failing: bool = False) -> list[CellResult]:
    """What came of its cells; of the last one a failure, if asked for."""
    found = [CellResult(cell, _report(cell.variant, cell.seed), {}, {}, {}, None) for cell in study.cells()]
    return [*found[:-1], CellResult(found[-1].cell, None, {}, {}, {}, FAILURE)] if failing else found


def _report(variant: str, seed: int) -> VerificationReport:
    example = example_report()
    student = replace(
        example.students[0], name="only", seed=seed, task_metric=ACCURACIES[variant][seed], steps=7, block_forwards=70
    )
    first = example.students[0]
    rows = [row for row in example.interchange if (row.student, row.seed) == (first.name, first.seed)]
    kept = [replace(row, student="only", seed=seed) for row in rows]
    return replace(example, students=(student,), interchange=tuple(kept), differences=(), heads=(), attribution=None)
