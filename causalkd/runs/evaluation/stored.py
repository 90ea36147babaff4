"""The files of evaluations, none of which replaces another measurement.

FOLDER/MODEL-TASK-SPLIT.json      the metrics, the model, the rows and the settings
FOLDER/MODEL-TASK-SPLIT.parquet   every prediction with its label, from which each metric can be computed again; of
                                  rows without labels the predictions alone

If a limit, a length, or a way of scoring is given, the names end in it: `-limit100`, `-length64`, `-stride32`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.runs.folder.layout import RunFolder
from causalkd.verification.measures.metrics import LabelPredictions
from causalkd.verification.results.finite import finite_or_none

FOLDER = "evaluations"


def evaluation_folder(origin: str | Path, out: str | Path | None) -> Path:
    """The folder of a model's evaluations: `out`, or if that is not given, one in the folder of the model."""
    if out is not None:
        return Path(out)
    path = Path(origin)
    return path / FOLDER if path.is_dir() else Path(FOLDER) / str(origin).replace("/", "--")


def origin_of(origin: str | Path) -> str:
    """The full path of a measured model or run, or its name on the hub."""
    return str(Path(origin).resolve()) if Path(origin).exists() else str(origin)


class StaysTheSame:
    """Notes which run is in a folder, so that nothing measured on it is written into one that has taken its place.

    Several evaluations may work on one run at a time, so they do not lock its folder.
    """

    def __init__(self, origin: str | Path) -> None:
        self._recipe = RunFolder(Path(origin)).recipe
        self._written = self._stamp()

    def check(self) -> None:
        """Raises ValueError if the run has been begun anew, or another has taken its place."""
        if self._stamp() != self._written:
            raise ValueError(
                f"the run in {self._recipe.parent} was begun anew while it was measured, so nothing more is written "
                "there; measure it again when it is finished"
            )

    def _stamp(self) -> tuple[int, int] | None:
        if not self._recipe.is_file():
            return None
        found = self._recipe.stat()
        return found.st_ino, found.st_mtime_ns


def model_name(origin: str | Path) -> str:
    """What a checkpoint is called in files: the last part of its hub name or folder, also where that is `.` or `..`."""
    name = Path(origin).name
    return Path(origin).resolve().name if name in ("", "..") else name


def files_for(names: Sequence[str], facts: Mapping[str, Any], folder: Path, *, overwrite: bool) -> dict[str, Path]:
    """The file of each model, without an ending; other rows and other ways of scoring give other names.

    Args:
        names: The names of the models.
        facts: The data and the settings of the measurement, which are written into the files.
        folder: The folder of the files.
        overwrite: Whether to replace another measurement.

    Raises:
        ValueError: Another measurement would be replaced.
    """
    words = {"limit": "limit", "max_length": "length", "stride": "stride"}
    ends = [f"{word}{facts[key]}" for key, word in words.items() if key in facts]
    ends += ["masks"] if "one_mask_a_row" in facts else []
    files = {name: folder / "-".join([name, facts["task"], facts["split"], *ends]) for name in names}
    for name, file in files.items() if not overwrite else ():
        _check_same(file, {"model": name, **facts})
    return files


def _check_same(file: Path, facts: Mapping[str, Any]) -> None:
    """Refuses to replace a measurement of another model, on other data, or with other settings.

    Args:
        file: The file to write, without an ending.
        facts: The model, the data and the settings of the measurement; an earlier file has them too.

    Raises:
        ValueError: One of them differs there.
    """
    written = file.with_name(f"{file.name}.json")
    if not written.is_file():
        return
    with refused(f"{written} is damaged", "delete it"):
        known = dict(json.loads(written.read_text(encoding="utf-8")))
    plain = json.loads(json.dumps(facts))
    others = [key for key in plain if known.get(key) != plain[key]]
    if others:
        there = "; ".join(f"`{key}` is {known.get(key)} there and {plain[key]} here" for key in others)
        raise ValueError(
            f"{written} holds another measurement, which would be replaced: {there}. Choose another folder with `out`, "
            "or delete that file"
        )


def write(file: Path, answers: LabelPredictions, kind: str, known: Mapping[str, Any]) -> None:
    """Writes the predictions of a model and their metrics; the file is given without an ending."""
    metrics = {each: finite_or_none(value) for each, value in known["metrics"].items()}
    stored = {**known, "metrics": metrics, "table": f"{file.name}.parquet"}
    write_predictions(answers, kind, file.with_name(f"{file.name}.parquet"), labelled=bool(metrics))
    write_whole(file.with_name(f"{file.name}.json"), json.dumps(stored, indent=1, allow_nan=False) + "\n")


def write_predictions(answers: LabelPredictions, kind: str, file: Path, *, labelled: bool = True) -> None:
    """Writes every prediction as Parquet, with its label if it has one; each metric can be computed again from both."""
    from datasets import Dataset

    file.parent.mkdir(parents=True, exist_ok=True)
    columns = _columns(answers, kind)
    kept = {name: values for name, values in columns.items() if labelled or not name.startswith("label")}
    Dataset.from_dict(kept).to_parquet(str(file))


def _columns(answers: LabelPredictions, kind: str) -> dict[str, list[Any]]:
    """Every prediction with its label: names of classes, tags of sentences, texts of answers, numbers of tokens."""
    if kind == "question_answering":
        return {
            "question": [each.question for each in answers.answered],
            "prediction": [each.text for each in answers.answered],
            "accepted": [list(each.accepted) for each in answers.answered],
            "null_odds": [each.null_odds for each in answers.answered],
        }
    if kind == "token_classification":
        gold, predicted = ([list(tags) for tags in both] for both in zip(*answers.tags, strict=True))
        return {"label": gold, "prediction": predicted}
    gold, predicted = answers.gold.tolist(), answers.choice.tolist()
    if kind == "multi_label":
        gold, predicted = ([_present(answers.labels, flags) for flags in side] for side in (gold, predicted))
    elif answers.labels:
        gold, predicted = ([answers.labels[number] for number in side] for side in (gold, predicted))
    found = {"row": answers.row.tolist(), "label": gold, "prediction": predicted}
    if answers.gold_log_probability is not None:
        found["label_log_probability"] = answers.gold_log_probability.tolist()
    return found


def _present(labels: Sequence[str], flags: Sequence[int]) -> list[str]:
    return [label for label, flag in zip(labels, flags, strict=True) if flag]
