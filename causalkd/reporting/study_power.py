"""The smallest differences that a study can show with its seeds and rows, calculated before its cells are run."""

from causalkd.recipe.study import Study
from causalkd.reporting.study_types import Difference, Planned, StudyTable
from causalkd.verification.statistics.paired_difference import smallest_difference, upper_sd


def planned_differences(study: Study, pilot: StudyTable | None) -> tuple[Planned, ...]:
    """The smallest difference that each comparison can show, from the given spread or that of the pilot.

    Args:
        study: The study, with `power`.
        pilot: The table of the first seeds; None if the spread is given.
    """
    assert study.power is not None
    seeds = len(study.seeds)
    given = study.power.sd or {}
    found = [
        Planned("", "", {}, measure, sd, None, seeds, smallest_difference(sd, seeds), None, None)
        for measure, sd in given.items()
    ]
    return tuple(
        found
        + [_of_pilot(each, seeds) for each in (pilot.differences if pilot else ()) if each.over_seeds.sd is not None]
    )


def _of_pilot(each: Difference, seeds: int) -> Planned:
    sd, number = each.over_seeds.sd or 0.0, each.over_seeds.seeds
    return Planned(
        each.method,
        each.reference,
        each.setting,
        each.measure,
        sd,
        number,
        seeds,
        smallest_difference(sd, seeds),
        smallest_difference(upper_sd(sd, number), seeds),
        each.visible_over_examples,
    )
