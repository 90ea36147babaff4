"""Writes the compatibility table: `python -m tests.architectures`."""

import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import transformers

from tests.architectures.checks import COLUMNS, RIGHT, Cells, check
from tests.architectures.zoo import TRANSFORMER_LENS, model_types, tasks_of

PAGE = Path(__file__).parents[2] / "analysis" / "results" / "architectures.md"
_INTRODUCTION = """# Architectures

Which architectures and heads of transformers can be teachers and students, and what is refused, and why?

**Command.** `python -m tests.architectures` writes this page; the same checks are tests in `tests/architectures`.

Every row is one head of one architecture, as a tiny random model of {layers} blocks. A cell is right, refused with a
reason, or wrong.

- load: the self-test passes, and the logits are those of the stock model.
- interchange: at every component the counterfactual logits and their gradient in every parameter are those of two plain
  forwards with plain hooks.
- cut: a student of the first and the last block computes what the teacher does with its other blocks left out.
- save: the saved folder is read again by `load_model`, every weight to the bit, and predicts the same.
"""


def main(types: Iterable[str] = ()) -> None:
    """Runs every check and writes the page; of the types given, only prints their rows."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    chosen = tuple(types)
    rows = [_checked(model_type, task) for model_type in chosen or model_types() for task in tasks_of(model_type)]
    if chosen:
        sys.stdout.write(_table(rows, {}))
    else:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(rows), encoding="utf-8")


def page(rows: Iterable[Cells]) -> str:
    """The compatibility table, and what became of each class that TransformerLens has an adapter for."""
    rows, reasons = list(rows), {}
    table = _table(rows, reasons)
    right = [row for row in rows if _is_right(row)]
    types = {row.model_type for row in right}
    return "\n".join(
        [
            _INTRODUCTION.format(layers=3),
            f"**What it shows.** {len(right)} of {len(rows)} heads, of {len(types)} architectures, are right in every "
            "cell. It does not show training: that optimizer steps of each method move every parameter.\n",
            table,
            "## Reasons\n",
            *(f"{number}. {reason}" for reason, number in reasons.items()),
            "\n## The classes that TransformerLens has adapters for\n",
            *_transformer_lens({row.architecture: row for row in rows}),
            "",
        ]
    )


def _checked(model_type: str, task: str) -> Cells:
    try:
        return check(model_type, task)
    except ImportError as error:
        missing = f"not tried: {' '.join(str(error).split())}"
        return Cells(model_type, task, "", (), dict.fromkeys(COLUMNS, missing))


def _is_right(row: Cells) -> bool:
    return set(row.results.values()) == {RIGHT}


def _table(rows: Iterable[Cells], reasons: dict[str, int]) -> str:
    lines = ["| model type | class | head | components | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---" * (4 + len(COLUMNS)) + "|")
    for row in rows:
        cells = [
            _cell(row.results[column].replace(row.architecture or "-", "the model"), reasons) for column in COLUMNS
        ]
        components = "all" if len(row.components) == 7 else ", ".join(row.components)
        lines.append(f"| {row.model_type} | {row.architecture} | {row.task} | {components} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(result: str, reasons: dict[str, int]) -> str:
    if result == RIGHT:
        return RIGHT
    kind, _, reason = " ".join(result.split()).partition(": ")
    return f"{kind} ({reasons.setdefault(reason, len(reasons) + 1)})"


def _transformer_lens(rows: Mapping[str, Cells]) -> list[str]:
    lacking = {name: _why_not(name, rows) for name in TRANSFORMER_LENS}
    right = [name for name, reason in lacking.items() if reason is None]
    lines = [f"{len(right)} of {len(lacking)} are right in every cell: {', '.join(sorted(right))}.\n", "The rest:\n"]
    return lines + [f"- {name}: {reason}" for name, reason in sorted(lacking.items()) if reason is not None]


def _why_not(name: str, rows: Mapping[str, Cells]) -> str | None:
    if name in rows:
        wrong = [f"{column}: {' '.join(rows[name].results[column].split())}" for column in COLUMNS]
        wrong = [each for each in wrong if not each.endswith(f": {RIGHT}")]
        return wrong[0] if wrong else None
    if not hasattr(transformers, name):
        return "transformers has no such class: its code comes with a checkpoint, or it has another name there"
    found = getattr(transformers, name)
    if found.config_class().is_encoder_decoder:
        return "an encoder-decoder model, which is refused: a layer's number names a block of either"
    if found.main_input_name != "input_ids":
        return f"reads {found.main_input_name}, not text"
    return "no head that transformers loads for text alone"


if __name__ == "__main__":
    main(sys.argv[1:])
