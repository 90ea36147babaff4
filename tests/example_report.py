"""A report as a real run writes it, with made-up numbers of a plausible shape: for tables, figures and pages."""

import dataclasses

import numpy as np

from causalkd.alignment.presets import preset
from causalkd.alignment.spec import Alignment
from causalkd.verification.results.baselines import BaselineName
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow
from causalkd.verification.results.report import Environment, StudentResult, TeacherResult, VerificationReport

CONTROL_NAMES: tuple[BaselineName, ...] = (
    "measured",
    "no_intervention",
    "permuted_source",
    "majority_class",
    "untrained_student",
)
ALIGNMENT = Alignment.from_yaml(
    """
name: premise
positions: {policy: segments, segments: [premise]}
pairs:
  - name: premise
    teacher: [{layer: 1, component: block_output, unit: pos}]
    student: [{layer: 0, component: block_output, unit: pos}]
"""
)


def example_report(
    students: tuple[str, ...] = ("kd", "diito"),
    seeds: int = 3,
    layers: tuple[int, int] = (4, 2),
    trained: tuple[int, int] = (1, 0),
    pairs: int = 1200,
    gain: float = 0.25,
) -> VerificationReport:
    """Later students align better, by `gain` more at the aligned site.

    The last block of either model is unreachable; layer 0 has no effective pair."""
    random = np.random.default_rng(0)
    results, rows, differences = [], [], []
    for rank, name in enumerate(students):
        for seed in range(seeds):
            results.append(StudentResult(name, _objectives(name), seed, 0.985 - 0.003 * seed, 0.978, 1.2e6, 61.5))
            for t in range(layers[0]):
                for s in range(layers[1]):
                    here = (t, s) == trained
                    rows += [
                        _row(name, seed, baseline, t, s, here, layers, pairs, rank, gain, random)
                        for baseline in CONTROL_NAMES
                    ]
            if rank:
                gap = 0.2 + 0.02 * seed
                place = ("premise", *trained, "iia_effective")
                differences.append(
                    DifferenceRow(
                        name, seed, students[0], "measured", *place, 480, gap, gap - 0.04, gap + 0.05, 1e-6, 1e-6
                    )
                )
    versions = {"python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.23.0", "pyvene": "0.1.8"}
    return VerificationReport(
        teacher=TeacherResult("planted BERT, 4 layers × 128", "classification", "accuracy", 0.9915),
        students=tuple(results),
        alignment=ALIGNMENT,
        interchange=tuple(rows),
        environment=Environment(versions, "sdpa", "float32", 7, 2, "cpu"),
        differences=tuple(differences),
    )


def example_metrics(report: VerificationReport, steps: int = 40) -> list[dict[str, object]]:
    """Rows of a metrics file: every term falls towards a floor, noisily."""
    random = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for student in report.students:
        for step in range(1, steps + 1):
            row: dict[str, object] = {"student": student.name, "seed": student.seed, "step": 20 * step}
            for rank, term in enumerate(student.objectives):
                row[f"term/{term}"] = (1.2 - 0.3 * rank) * np.exp(-step / 12) + 0.1 + 0.02 * abs(random.normal())
            rows.append(row)
    return rows


def _objectives(name: str) -> dict[str, float]:
    return {"response_kd": 0.25, "task": 0.25} | ({"diito": 0.25} if name.startswith("diito") else {})


def _row(name, seed, baseline, t, s, here, layers, pairs, rank, gain, random) -> InterchangeRow:
    effective = 0 if t == 0 else 300 + 60 * t
    near = np.exp(-abs(t / layers[0] - (s + 1) / layers[1]) * 1.5)
    strength = {"measured": 0.45 + 0.2 * near + gain * rank * here + 0.05 * rank, "majority_class": 0.55}.get(
        baseline, 0.35
    )
    score = float(np.clip(strength + random.normal(0, 0.01), 0, 1))
    score = 0.0 if baseline == "no_intervention" else score
    half = 1.96 * np.sqrt(0.25 / max(effective, 1))
    whole = 0.6 + 0.4 * score
    return InterchangeRow(
        student=name,
        baseline=baseline,
        pair="premise" if here else "grid:premise",
        component="block_output",
        unit="pos",
        head=None,
        teacher_layer=t,
        student_layer=s,
        aligned=here,
        reachable=t < layers[0] - 1,
        iia=whole,
        iia_low=whole - 0.02,
        iia_high=min(whole + 0.02, 1.0),
        iia_effective=score if effective else None,
        effective_pairs=effective,
        pairs=pairs,
        kl=None if baseline == "majority_class" else 1.5 * (1 - score),
        seed=seed,
        iia_effective_low=float(max(score - half, 0)) if effective else None,
        iia_effective_high=float(min(score + half, 1)) if effective else None,
    )


def full_report(students: tuple[str, ...] = ("kd", "diito"), seeds: int = 1) -> VerificationReport:
    """The example with an alignment of every layer: two teacher layers correspond to each student layer.

    Each declared pair of layers touches two cells of the grid, which are measured besides it."""
    report = example_report(students, seeds)
    own, grid = [], []
    for row in report.interchange:
        pair = f"full_{row.student_layer}"
        touched = row.teacher_layer // 2 == row.student_layer
        grid.append(dataclasses.replace(row, pair="grid:full_0", aligned=False, touched=touched))
        if (row.teacher_layer, row.student_layer) in ((1, 0), (2, 1)):
            own.append(dataclasses.replace(row, pair=pair, teacher_layer=2 * row.student_layer, aligned=True))
    differences = tuple(dataclasses.replace(row, pair="full_0", teacher_layer=0) for row in report.differences)
    rows = (*grid, *own)
    return dataclasses.replace(report, alignment=preset("full", 4, 2), interchange=rows, differences=differences)
