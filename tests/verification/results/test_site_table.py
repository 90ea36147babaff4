import dataclasses
import re

from causalkd.verification.results.site_table import site_table
from tests.example_report import example_report, full_report


def test_a_report_shows_the_numbers_of_its_aligned_sites_beside_the_best_baseline():
    report = example_report(seeds=1)
    rows = [row for row in report.interchange if row.aligned and row.student == "diito"]
    values = {row.baseline: row.iia_effective for row in rows}
    best = max(value for baseline, value in values.items() if baseline != "measured")
    shown = re.findall(r"<td[^>]*>(.*?)</td>", report._repr_html_())
    place = shown.index("diito")
    assert shown[place : place + 8] == [
        "diito", "0", "premise", "1 → 0", f"{values['measured']:.3f}",
        f"{rows[0].iia_effective_low:.3f} to {rows[0].iia_effective_high:.3f}", "360", f"{best:.3f}",
    ]  # fmt: skip


def test_a_report_without_aligned_sites_shows_all_and_one_without_rows_none():
    report = example_report(("kd",), seeds=1)
    rows = tuple(dataclasses.replace(row, aligned=False) for row in report.interchange)
    shown = dataclasses.replace(report, interchange=rows)._repr_html_()
    assert "all measured sites" in shown and shown.count("<tr>") == 1 + 6
    assert dataclasses.replace(report, interchange=(), differences=())._repr_html_().count("<tr>") == 1


def test_an_unreachable_site_and_one_without_pairs():
    report = example_report(("kd",), seeds=1)
    rows = [dataclasses.replace(row, aligned=True) for row in report.interchange]
    shown = site_table(report.alignment.model_copy(update={"name": "<b>"}), rows)
    assert "&lt;b&gt;: effective IIA at aligned sites" in shown and "3 → 0" not in shown, (
        "the last layer is unreachable"
    )
    assert "– to –" in shown, "layer 0 has no effective pair"


def test_a_pair_of_several_layers_is_named_by_all_of_them():
    shown = full_report(("kd",))._repr_html_()
    assert "0 and 1 → 0" in shown and "2 and 3 → 1" in shown
