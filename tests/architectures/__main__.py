"""Writes the compatibility table: `python -m tests.architectures`."""

import argparse
import contextlib
import gc
import io
import json
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import transformers
from transformer_lens.factories import architecture_adapter_factory

from causalkd.task_types import Task
from tests.architectures import options
from tests.architectures.checks import COLUMNS, CRASHED, NONE, RIGHT, WRONG, Cells, check
from tests.architectures.training import UNMOVED
from tests.architectures.zoo import TRANSFORMER_LENS, heads

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
- DIITO, AD-KD, ATKD: two steps of the trainer with this objective alone have finite losses and move every trainable
  parameter, except those listed below. A dash: the method does not exist for the head.

Models that also read images or sound are given text alone. transformers runs no hybrid of attention and recurrent
blocks without a block of attention, so the tiny hybrids have one among the first and the last block.

A step need not move what these parts of a name, or of a type and a name, say:

{unmoved}

Encoders with a decoder are refused by every command in the same words. An alignment, a recipe and a report name a layer
by its number, which they have twice, and their batches, losses and positions would need the decoder's tokens beside the
encoder's: a second kind of every table here, for models that no method of the papers is about. A decoder of theirs that
was saved alone, such as a BartForCausalLM, is one of the rows.
"""

_HELD = """## Ways of holding a model

A tiny Llama with the same checks, as a teacher and as a student. A quantised teacher teaches a student that is cut from
it, whose weights are dequantised; bitsandbytes is installed for these rows alone. Adapters are merged when saved.
"""


def main(arguments: Iterable[str] = ()) -> None:
    """Runs every check and writes the page; of the types given, only prints their rows.

    With `--rows FILE`, each row is added to that file as soon as it is known, and what it holds already is not run
    again: a run that was interrupted goes on.
    """
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    given = argparse.ArgumentParser(prog="python -m tests.architectures")
    given.add_argument("types", nargs="*", help="types of models whose rows are printed; without any, all are written")
    given.add_argument("--rows", type=Path, help="a file of rows that are known, to which new ones are added")
    asked = given.parse_args([*arguments])
    chosen = [head for head in heads() if not asked.types or head[0] in asked.types]
    known = {} if asked.rows is None else _known(asked.rows)
    rows = [known.get(head) or _noted(_checked(*head), head, asked.rows) for head in chosen]
    if asked.types:
        sys.stdout.write(_table(rows, {}))
    else:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(rows, _options()), encoding="utf-8")


def _known(file: Path) -> dict[tuple[str, ...], Cells]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {tuple(head): Cells(*row) for head, row in map(json.loads, lines)}


def _noted(row: Cells, head: Iterable[str], file: Path | None) -> Cells:
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([[*head], row]) + "\n")
    return row


def page(rows: Iterable[Cells], held: Mapping[str, Mapping[str, str]]) -> str:
    """The compatibility table, and what became of each class that TransformerLens has an adapter for."""
    rows, reasons = list(rows), {}
    table = _table(rows, reasons)
    right = [row for row in rows if _is_right(row)]
    types = {row.model_type for row in right}
    faults = sum(result.startswith((WRONG, CRASHED)) for row in rows for result in row.results.values())
    return "\n".join(
        [
            _INTRODUCTION.format(layers=3, unmoved=_unmoved()),
            f"**What it shows.** {len(right)} of {len(rows)} heads, of {len(types)} architectures, are right in every "
            f"cell; {faults} cells are wrong or crash.\n",
            _LIMITS,
            table,
            _HELD,
            _held_table(held, reasons),
            "## Reasons\n",
            *(f"{number}. {reason}" for reason, number in reasons.items()),
            "\n## The classes that TransformerLens has adapters for\n",
            *_transformer_lens(_by_class(rows)),
            "",
        ]
    )


_LIMITS = """\
**What it does not show.** The models are tiny and random: nothing is said of real checkpoints, of long texts, of speed,
or of devices other than a CPU. Two steps of training show that gradients arrive, not that a method helps.
"""


def _unmoved() -> str:
    """The exceptions of the columns of training, by reason."""
    reasons = dict.fromkeys(UNMOVED.values())
    parts = {reason: ", ".join(part for part, why in UNMOVED.items() if why == reason) for reason in reasons}
    return "\n".join(f"- {names}: {reason}" for reason, names in parts.items())


def _checked(model_type: str, task: Task, head: str) -> Cells:
    gc.freeze()  # every training collects garbage, and what is imported by now stays
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints what it logs
            return check(model_type, task, head)
    except ImportError as error:
        missing = f"not tried: {' '.join(str(error).split())}"
        return Cells(model_type, task, head, (), dict.fromkeys(COLUMNS, missing))


def _is_right(row: Cells) -> bool:
    return set(row.results.values()) <= {RIGHT, NONE} and RIGHT in row.results.values()


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


def _options() -> dict[str, dict[str, str]]:
    """The results of every way of holding a model."""
    found = {}
    for name in {**options.OPTIONS, **options.QUANTIZED}:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found[name] = options.check_option(name)
        except ImportError as error:
            found[name] = dict.fromkeys(options.COLUMNS, f"not tried: {' '.join(str(error).split())}")
    return found


def _held_table(held: Mapping[str, Mapping[str, str]], reasons: dict[str, int]) -> str:
    lines = ["| a tiny Llama | " + " | ".join(options.COLUMNS) + " |", "|---" * (1 + len(options.COLUMNS)) + "|"]
    for name, results in held.items():
        cells = [_cell(results[column], reasons) for column in options.COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(result: str, reasons: dict[str, int]) -> str:
    if result in (RIGHT, NONE):
        return result
    kind, _, reason = " ".join(result.split()).partition(": ")
    return f"{kind} ({reasons.setdefault(reason, len(reasons) + 1)})"


def _by_class(rows: Iterable[Cells]) -> dict[str, Cells]:
    """The row of each class: the right one, where several types of models have the class."""
    return {row.architecture: row for row in sorted(rows, key=_is_right)}


def _transformer_lens(rows: Mapping[str, Cells]) -> list[str]:
    whole = [name for name in TRANSFORMER_LENS if name in rows and _is_right(rows[name])]
    renamed = {name: other for name in TRANSFORMER_LENS if name not in whole and (other := _other_name(name, rows))}
    rest = [name for name in TRANSFORMER_LENS if name not in whole and name not in renamed]
    return [
        f"{len(whole) + len(renamed)} of {len(TRANSFORMER_LENS)} are right in every cell. {len(whole)} are classes of "
        f"transformers: {', '.join(sorted(whole))}.\n",
        f"{len(renamed)} are other names of such a class, as which transformers loads their checkpoints: "
        f"{', '.join(f'{name} ({other})' for name, other in sorted(renamed.items()))}.\n",
        "The rest:\n",
        *(f"- {name}: {_why_not(name, rows)}" for name in sorted(rest)),
    ]


def _other_name(name: str, rows: Mapping[str, Cells]) -> str | None:
    """The right class for which TransformerLens has the same adapter, or the same name in other letters."""
    known = architecture_adapter_factory.SUPPORTED_ARCHITECTURES
    same = (o for o in rows if known.get(o) is known[name] or o.lower() == name.lower())
    return next((other for other in sorted(same) if _is_right(rows[other]) and rows[other].task == "causal_lm"), None)


def _why_not(name: str, rows: Mapping[str, Cells]) -> str:
    if name in rows:
        cells = ((column, " ".join(rows[name].results[column].split())) for column in COLUMNS)
        return next(f"{column}: {result}" for column, result in cells if result not in (RIGHT, NONE))
    if not hasattr(transformers, name):
        return "transformers has no such class: its code comes with a checkpoint"
    found = getattr(transformers, name)
    if found.config_class().is_encoder_decoder:
        return "an encoder with a decoder, which is refused: it has two stacks, so a layer's number names two blocks"
    if found.main_input_name != "input_ids":
        return f"reads {found.main_input_name}, not text"
    return "no head that transformers loads for text alone"


if __name__ == "__main__":
    main(sys.argv[1:])
