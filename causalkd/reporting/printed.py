"""A report as the command line prints it: its text, its tables of maps and teaching modes, and its files."""

from pathlib import Path

from causalkd.reporting.attribution_tables import as_markdown, distance_rows
from causalkd.reporting.tables import columns
from causalkd.reporting.teaching_tables import teaching_line, teaching_rows
from causalkd.reporting.terminal import as_text
from causalkd.verification.results.report import VerificationReport


def printed(report: VerificationReport, folder: Path) -> str:
    """The report of the run in a folder, followed by the paths of its files."""
    lines = [as_text(report).rstrip("\n")]
    if report.attribution is not None:
        lines += ["", as_markdown(report)]
        if report.attribution.map_distances:
            lines += [*columns(distance_rows(report.attribution)), ""]
        if (teaching := report.attribution.teaching) is not None:
            lines += [*columns(teaching_rows(teaching)), teaching_line(teaching)]
    return "\n".join([*lines, "", str(folder / "report.json"), str(folder / "report.html")])
