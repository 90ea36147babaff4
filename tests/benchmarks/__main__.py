"""Measures every row, prints them as a table and writes them as a list to a JSON file."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from tests.benchmarks.row import Row, row_modules, table
from tests.benchmarks.setting import FULL, SMOKE


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures the rows that the arguments name."""
    modules = row_modules()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sorted(modules),
        help="the modules of tests/benchmarks/rows to run; other rows of the file stay",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each ratio ({FULL.rounds})")
    parser.add_argument("--threads", type=int, help=f"threads of torch ({FULL.threads})")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes: shows that it runs, not what it costs")
    parser.add_argument("--output", type=Path, default=Path("runs/bench.json"))
    given = parser.parse_args(arguments)
    setting = SMOKE if given.smoke else FULL
    setting = replace(setting, rounds=given.rounds or setting.rounds, threads=given.threads or setting.threads)
    threads = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    if not given.only:
        given.output.unlink(missing_ok=True)
    rows: list[Row] = []
    try:
        for name in given.only or modules:
            rows += modules[name].rows(setting)
            _write(given.output, rows)  # after each: an hour's measurements are not lost to the last one's failure
    finally:
        torch.set_num_threads(threads)
    print(f"{setting}\n{table(rows)}")
    return rows


def _write(path: Path, rows: Sequence[Row]) -> None:
    """Writes the rows; those of other names that the file has stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {row.id: asdict(row) for row in rows}
    if path.exists():
        written = {row["id"]: row for row in json.loads(path.read_text(encoding="utf-8"))} | written
    path.write_text(json.dumps(list(written.values()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
