"""Reports of runs that are hard to show, by name: what a page must be able to hold."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from analysis.pages.report_page import render
from causalkd.attribution.maps import AttributionMap
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.rows import Mismatch, OffDistributionRow
from tests.example_maps import example_distances, example_maps, example_results
from tests.example_report import example_metrics, example_report
from tests.example_teaching import example_teaching
from tests.two_sites import two_sites

ARABIC, CHINESE = (
    "طالب-يتعلم-بالتدخل-السببي-والتقطير-العميق",
    "学生模型通过因果干预学习老师的计算方式并且名字非常长以至于需要换行显示",
)
FORTY = "a-student-whose-name-is-forty-characters"


def with_maps(names: tuple[str, ...] = ("kd", "adkd")) -> str:
    """An AD-KD run whose maps were made."""
    report = example_report(names, seeds=2)
    results = dataclasses.replace(example_results(names), map_distances=example_distances(names))
    objectives = {"response_kd": 1.0, "adkd": 10.0}
    students = tuple(
        dataclasses.replace(each, objectives=objectives) if each.name == names[-1] else each for each in report.students
    )
    report = dataclasses.replace(report, students=students, attribution=results)
    return render(report, example_metrics(report), maps_of(names))


def maps_of(names: tuple[str, ...]) -> Mapping[str, AttributionMap]:
    """The map of the teacher and of each student's first seed."""
    folders = ("teacher", *(f"{name}-seed0" for name in names))
    return {folder: example_maps(seed=number)[0] for number, folder in enumerate(folders)}


def of_a_language_model() -> str:
    """A language-model run with teaching modes, without maps on texts."""
    names = ("kd", "atkd")
    report = example_report(names, seeds=2)
    results = dataclasses.replace(example_results(names), teaching=example_teaching(names))
    teacher = dataclasses.replace(report.teacher, task="causal_lm", metric="perplexity", task_metric=14.2)
    report = dataclasses.replace(report, teacher=teacher, attribution=results)
    return render(report, example_metrics(report))


def _long_names() -> str:
    report = example_report((ARABIC, CHINESE, FORTY), seeds=1)
    departures = (
        Mismatch(
            *(ARABIC, 0, "premise", "كل كلب يركض في الحديقة", "لا كلب يركض", (("كل", "لا"),)),
            *("يستلزم", "يناقض", "يستلزم", "يستلزم", 0.97, 0.02, 3.4),
        ),
        Mismatch(
            *(CHINESE, 0, "premise", "每只狗都在公园里跑步", "没有狗在跑步", (("每", "没"),)),
            *("蕴含", "矛盾", "蕴含", "蕴含", 0.97, 0.02, 3.4),
        ),
    )
    far = OffDistributionRow(CHINESE, 0, "premise", clean=0.5, intervened=1.25, beyond=0.372, pairs=1200)
    report = dataclasses.replace(report, mismatches=departures, off_distribution=(far,))
    report = dataclasses.replace(report, attribution=example_results((ARABIC, CHINESE), seeds=1))
    maps = maps_of((ARABIC, CHINESE))
    words = tuple(tuple(f"كلمة{place}" if text % 2 else f"词语{place}" for place in range(8)) for text in range(4))
    views = tuple((name,) * 4 for name in ("يستلزم", "矛盾", "neutral"))
    return render(report, (), {k: dataclasses.replace(each, tokens=words, views=views) for k, each in maps.items()})


def _nine_students() -> str:
    """Nine students with three seeds each, whose differences are those of their scores."""
    report = example_report(tuple(f"student-{number}-of-nine" for number in range(9)), seeds=3, gain=0)
    scores = {
        (row.student, row.seed): row.iia_effective or 0.0
        for row in report.interchange
        if row.aligned and row.baseline == "measured"
    }
    gaps = [scores[row.student, row.seed] - scores[row.reference, row.seed] for row in report.differences]
    differences = tuple(
        dataclasses.replace(row, difference=gap, low=gap - 0.04, high=gap + 0.05)
        for row, gap in zip(report.differences, gaps, strict=True)
    )
    return _of(dataclasses.replace(report, differences=differences))


def _diverged() -> str:
    """One student without a finite number."""
    report = example_report(("kd", "diito"), seeds=1)
    lost = float("nan")
    rows = tuple(
        dataclasses.replace(row, iia_effective=lost, iia_effective_low=lost, iia_effective_high=lost, kl=lost)
        if row.student == "diito" and row.baseline == "measured"
        else row
        for row in report.interchange
    )
    metrics = [row | {"loss": lost} if row["student"] == "diito" else row for row in example_metrics(report)]
    students = tuple(
        dataclasses.replace(each, task_metric=lost) if each.name == "diito" else each for each in report.students
    )
    return render(dataclasses.replace(report, interchange=rows, students=students, differences=()), metrics)


def _of(report: VerificationReport, metrics: Any = ()) -> str:
    return render(report, metrics)


PAGES: Mapping[str, Callable[[], str]] = {
    "two students": lambda: _of(example_report(), example_metrics(example_report())),
    "maps": with_maps,
    "language model": of_a_language_model,
    "one student": lambda: _of(example_report(("kd",), seeds=1)),
    "nine students": _nine_students,
    "deep models": lambda: _of(example_report((FORTY,), 1, (24, 12), (12, 6))),
    "long names": _long_names,
    "nothing significant": lambda: _of(two_sites(lambda *_: 0.51, q=0.6, students=("kd", "diito"))),
    "diverged": _diverged,
}
"""Pages by what is unusual about the run."""
