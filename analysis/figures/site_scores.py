"""A figure of aligned and other sites: each student's effective accuracy beside its baselines, every seed a point."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import FAINT, INK, MUTED, shortened, student_colours, styled
from causalkd.reporting.summary import SiteScores, StudentSummary, summaries
from causalkd.verification.results.baselines import BASELINES, explaining
from causalkd.verification.results.report import VerificationReport


@styled
def site_scores(report: VerificationReport) -> Figure:
    """Effective IIA at aligned and at other sites: seeds as points with 95 % intervals, baselines as marks."""
    students = [summary for summary in summaries(report) if summary.seed is not None]
    names = list(dict.fromkeys(summary.name for summary in students))
    colours = student_colours(names)
    figure = Figure(figsize=(8.6, 0.75 * len(names) + 1.95), layout="constrained")
    for ax, title in zip(figure.subplots(1, 2, sharey=True), ("aligned", "other"), strict=True):
        counted = []
        for line, name in enumerate(names):
            chosen = [summary for summary in students if summary.name == name]
            levels = [summary.aligned if title == "aligned" else summary.other for summary in chosen]
            counted += [level for level in levels if level.sites]
            _draw_student(ax, line, levels, colours[name])
        _name_axes(ax, title, counted)
        ax.set_yticks(range(len(names)), [_label(name, students) for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
    marks = [
        Line2D(
            [], [], linestyle="", marker=BASELINES[key].marker, color=MUTED, markersize=6, label=BASELINES[key].title
        )
        for key in explaining()
        if any(level.baselines[key] is not None for each in students for level in (each.aligned, each.other))
    ]
    seeds = Line2D([], [], linestyle="-", marker="o", color=INK, markersize=5, label="student, one seed")
    figure.legend(handles=[seeds, *marks], loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw_student(ax: Axes, line: int, levels: list[SiteScores], colour: str) -> None:
    for index, level in enumerate(levels):
        y = line + 0.2 * (index - (len(levels) - 1) / 2)
        if level.iia_effective is None:
            continue
        if level.low is not None and level.high is not None:
            ax.plot([level.low, level.high], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt")
        ax.plot([level.iia_effective], [y], marker="o", color=colour, markersize=5, zorder=3)
        for baseline in explaining():
            value = level.baselines[baseline]
            if value is not None:
                ax.plot(
                    [value],
                    [y],
                    marker=BASELINES[baseline].marker,
                    color=MUTED,
                    markersize=4.5,
                    linestyle="",
                    alpha=0.85,
                )


def _name_axes(ax: Axes, title: str, counted: list[SiteScores]) -> None:
    if counted:
        n = counted[0].effective_pairs or 0
        level = counted[0]
        cells = "1 site" if level.sites == 1 else f"{level.sites} sites"
        cells = cells if level.counted == level.sites else f"{level.counted} of {cells}"
        ax.set_title(f"{title}: {cells}, n = {n:.0f} effective pairs{' a site' if level.sites > 1 else ''}")
    else:
        ax.set_title(f"{title}: none")
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("effective IIA (share of effective predictions)")
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)


def _label(name: str, students: list[StudentSummary]) -> str:
    seeds = sum(summary.name == name for summary in students)
    return f"{shortened(name)}\n{seeds} seed{'s' if seeds > 1 else ''}"
