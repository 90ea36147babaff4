"""Figures of teaching modes: how uncertain teachers are, what parts of the loss remain, which tokens are hard."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.coloured_text import Passage, draw_passages
from analysis.figures.style import CHANCE, FAINT, MUTED, student_colours, styled
from analysis.figures.training_curves import Metrics
from causalkd.verification.results.teaching import ModeAccuracy, TeachingModes, TokenModes

_MODES = ("easy", "hard")


@styled
def uncertainty_distribution(teachers: Mapping[str, TokenModes]) -> Figure:
    """The share of tokens below each uncertainty, a curve a teacher; a dot where its hard tokens start.

    Args:
        teachers: By name, on the same tokens.

    Raises:
        ValueError: There is no teacher.
    """
    _check(teachers)
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    ax = figure.subplots()
    for (name, modes), colour in zip(teachers.items(), student_colours(teachers).values(), strict=True):
        ranked = np.sort(modes.uncertainty)
        share = np.arange(1, len(ranked) + 1) / len(ranked)
        ax.step(ranked, share, where="post", color=colour, linewidth=1.6, label=f"{name} (n = {len(ranked)})")
        start = modes.uncertainty[modes.hard].min()
        ax.plot(start, np.mean(ranked <= start), "o", color=colour, markersize=4)
    ax.set_xlabel("uncertainty: probability off the gold token")
    ax.set_ylabel("share of tokens")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    _grid(ax)
    _legend(figure)
    return figure


@styled
def larger_teachers(teachers: Mapping[str, TeachingModes]) -> Figure:
    """The premise of the paper: uncertainty, and the diversity-oriented term with and without the factor UNC.

    Args:
        teachers: By name, in the order of their size, on the same tokens and against the same student.

    Raises:
        ValueError: There is no teacher.
    """
    _check(teachers)
    figure = Figure(figsize=(9.2, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    names, found = list(teachers), list(teachers.values())
    tokens = len(found[0].uncertainty)
    _bars(left, names, {"": [float(modes.uncertainty.mean()) for modes in found]})
    left.set_title("mean uncertainty")
    left.set_ylabel("probability off the gold token")
    parts = {
        "DKD": [float(modes.diversity.mean()) for modes in found],
        "UNC · DKD": [float(modes.suppressed.mean()) for modes in found],
        "TKD": [float(modes.target.mean()) for modes in found],
    }
    _bars(middle, names, parts)
    middle.set_title("terms against one student")
    middle.set_ylabel("nats a token")
    _bars(right, names, {"": [1 - modes.target_share for modes in found]})
    right.set_title("diversity's share of forward KL")
    right.set_ylabel("UNC · DKD / forward KL")
    for ax in (left, middle, right):
        ax.set_ylim(0, 1.1 * (1 if ax is right else ax.dataLim.y1))  # leaves room for the numbers
        for bars in ax.containers:
            ax.bar_label(bars, fmt="%.2f", fontsize=7)  # some are too low to be seen
    middle.set_xlabel(f"teacher, smallest first (n = {tokens} tokens)")
    _legend(figure)
    return figure


@styled
def teaching_shares(metrics: Metrics, target: str = "term/target", whole: str = "term/forward_kl") -> Figure:
    """The target-oriented share of forward KL along training, the rest being UNC · DKD; a line a student and seed.

    Args:
        metrics: Rows of a log that holds both terms at temperature 1 over labelled tokens.
        target: The key of TKD.
        whole: The key of forward KL.

    Raises:
        ValueError: No row holds both terms.
    """
    rows = [row for row in metrics if all(isinstance(row.get(key), int | float) for key in (target, whole))]
    if not rows:
        raise ValueError(
            f"no row of the metrics holds {target} and {whole}; train with both objectives to compare them"
        )
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    ax = figure.subplots()
    colours = student_colours(str(row["student"]) for row in rows)
    for student, seed in dict.fromkeys((str(row["student"]), row["seed"]) for row in rows):
        own = [row for row in rows if (str(row["student"]), row["seed"]) == (student, seed)]
        shares = [float(str(row[target])) / max(float(str(row[whole])), 1e-12) for row in own]
        ax.plot([int(str(row["step"])) for row in own], shares, color=colours[student], linewidth=1.2, label=student)
    ax.set_xlabel("training step")
    ax.set_ylabel("target-oriented share of forward KL")
    ax.set_ylim(0, 1.02)
    _grid(ax)
    _legend(figure)
    return figure


@styled
def coloured_modes(texts: Sequence[Sequence[str]], modes: TokenModes, text: int) -> Figure:
    """One text, its tokens coloured by teaching mode; what is not labelled stays without colour.

    Args:
        texts: All tokens of some texts.
        modes: Of the same texts.
        text: The number of the one to show.

    Raises:
        ValueError: No token of the text is labelled.
    """
    here = np.flatnonzero(modes.text == text)
    if not len(here):
        raise ValueError(
            f"no token of text {text} is labelled; the modes are of texts {sorted(set(modes.text.tolist()))}"
        )
    strengths = np.zeros(len(texts[text]))
    unc = modes.uncertainty[here]
    strengths[modes.position[here]] = np.where(modes.hard[here], -np.maximum(unc, 0.1), np.maximum(1 - unc, 0.1))
    hard = int(modes.hard[here].sum())
    heading = f"text {text}: {len(here) - hard} easy tokens, {hard} hard"
    meaning = "blue: easy, diversity-oriented term only (1 − uncertainty); red: hard, both terms (uncertainty)"
    return draw_passages([Passage(heading), Passage("", texts[text], strengths.tolist())], 1.0, meaning)


@styled
def accuracy_by_mode(students: Mapping[str, Sequence[ModeAccuracy]], measure: str = "iia_effective") -> Figure:
    """Interchange accuracy over easy and over hard tokens, a panel a site pair, a group a student.

    Args:
        students: By name, what `verification.teaching_modes.accuracy_by_mode` found.
        measure: `iia_effective` or `iia`.

    Raises:
        ValueError: There is no student, or no such measure.
    """
    if not students or measure not in ("iia", "iia_effective"):
        raise ValueError(
            f"{len(students)} students and the measure {measure!r} were given; give some, and iia_effective or iia"
        )
    pairs = list(dict.fromkeys(score.pair for scores in students.values() for score in scores))
    width = max(3.6, 1.2 * len(students) + 0.9)  # names must not touch
    figure = Figure(figsize=(width * len(pairs), 2.9), layout="constrained")
    for ax, pair in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        own = {name: {s.mode: s for s in scores if s.pair == pair} for name, scores in students.items()}
        values = {mode: [_value(own[name][mode], measure) for name in own] for mode in _MODES}
        counts = [
            "/".join(
                str(each.tokens if measure == "iia" else each.effective) for each in (own[name][m] for m in _MODES)
            )
            for name in own
        ]
        _bars(ax, [f"{name}\nn = {count}" for name, count in zip(own, counts, strict=True)], values)
        ax.set_title(pair)
        ax.set_ylim(0, 1.02)
        ax.set_ylabel("IIA, effective tokens" if measure == "iia_effective" else "IIA")
    _legend(figure)
    return figure


def _value(score: ModeAccuracy, measure: str) -> float:
    value = score.iia if measure == "iia" else score.iia_effective
    return float("nan") if value is None else value


def _bars(ax: Axes, names: Sequence[str], groups: Mapping[str, Sequence[float]]) -> None:
    width = 0.8 / len(groups)
    for index, ((label, values), colour) in enumerate(
        zip(groups.items(), student_colours(groups).values(), strict=True)
    ):
        places = np.arange(len(names)) - 0.4 + width * (index + 0.5)
        ax.bar(places, np.nan_to_num(values), width * 0.92, color=colour, label=label or None)
        for place, value in zip(places, values, strict=True):
            if np.isnan(value):
                ax.text(place, 0, "none", ha="center", va="bottom", color=CHANCE, fontsize=7)
    ax.set_xticks(range(len(names)), names)
    _grid(ax)


def _legend(figure: Figure) -> None:
    """A legend of every label once, below the panels, where it covers nothing that is drawn."""
    named = [ax.get_legend_handles_labels() for ax in figure.axes]
    handles = {label: handle for pair in named for handle, label in zip(*pair, strict=True)}
    columns = min(len(handles), max(1, int(figure.get_figwidth() // 1.5)))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _grid(ax: Axes) -> None:
    ax.grid(axis="y", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(color=MUTED)


def _check(teachers: Mapping[str, TokenModes]) -> None:
    if not teachers:
        raise ValueError("no teacher's modes were given; `verification.teaching_modes.teaching_modes` measures them")
