import json

import pytest

from analysis.figures.style import to_svg
from analysis.figures.training_curves import read_metrics, terms, training_curves
from tests.example_report import example_metrics, example_report


@pytest.fixture(scope="module")
def metrics():
    return example_metrics(example_report())


def test_each_term_has_a_panel_with_a_unit(metrics):
    figure = training_curves(metrics)
    assert [ax.get_title() for ax in figure.axes] == ["response_kd", "task", "diito"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["", "nats", "nats"]  # response_kd may be a total variation
    assert {ax.get_xlabel() for ax in figure.axes} == {"training step"}


def test_accuracies_that_were_watched_come_last_and_are_shares():
    rows = [
        {"student": "diito", "seed": 0, "step": step, "loss": 1.0, "term/task": 1.0, "iia_effective/middle": 0.1 * step}
        for step in (1, 2)
    ]
    assert terms(rows) == ["term/task", "loss", "iia_effective/middle"]
    last = training_curves(rows).axes[-1]
    assert (last.get_title(), last.get_ylabel(), last.get_ylim()) == ("effective IIA, middle", "share of pairs", (0, 1))


def test_seeds_are_thin_and_their_mean_is_thick(metrics):
    response = training_curves(metrics).axes[0]
    assert len(response.get_lines()) == 8  # two students, three seeds and a mean each
    (mean,) = (line for line in response.get_lines() if line.get_label() == "kd")
    first = [row["term/response_kd"] for row in metrics if row["student"] == "kd" and row["step"] == 20]
    assert mean.get_ydata()[0] == pytest.approx(sum(first) / 3)


def test_a_mean_is_drawn_where_all_seeds_have_logged():
    rows = [
        {"student": "kd", "seed": seed, "step": step, "term/task": 1.0}
        for seed in (0, 1)
        for step in range(1, 5 - seed)
    ]
    (mean,) = (line for line in training_curves(rows).axes[0].get_lines() if line.get_label() == "kd")
    assert list(mean.get_xdata()) == [1, 2, 3]


def test_bookkeeping_is_no_term():
    row = {
        "student": "kd",
        "seed": 0,
        "step": 1,
        "loss": 2.0,
        "grad_norm": 1.0,
        "term/task": 1.0,
        "term/hidden_kd": 0.5,
        "term/adkd": 0.1,
        "term/uld": 0.2,
        "term/unregistered": 0.3,
    }
    assert terms([row])[1:] == ["term/hidden_kd", "term/adkd", "term/uld", "term/unregistered", "loss"]
    figure = training_curves([row], "squared difference")
    names = ["task", "hidden_kd", "adkd", "uld", "unregistered"]
    assert [ax.get_title() for ax in figure.axes] == [*names, "loss (weighted sum)"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["squared difference", *["distance"] * 3, "", ""]
    with pytest.raises(ValueError, match="hold no term"):
        training_curves([{"student": "kd", "seed": 0, "step": 1}])


def test_the_same_metrics_give_the_same_bytes():
    metrics = example_metrics(example_report(("kd",), seeds=1), steps=5)
    assert to_svg(training_curves(metrics)) == to_svg(training_curves(metrics))


def test_a_metrics_file_is_read_line_by_line(tmp_path, metrics):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in metrics), encoding="utf-8")
    assert read_metrics(path) == metrics


def test_a_bad_metrics_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(ValueError, match="there is no metrics file at"):
        read_metrics(path)
    path.write_text('{"student": "kd", "seed": 0, "step": 1}\n{"student": "k', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        read_metrics(path)
    path.write_text('{"seed": 0, "step": 1}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 lacks one of student, seed, step"):
        read_metrics(path)
