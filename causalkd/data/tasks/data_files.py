"""Any file, folder or hub data set as a table of `datasets`: memory-mapped, cached, with known row numbers."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalkd.data.tasks import readers as files
from causalkd.data.tasks.csv_files import columns_of_files, refuse_swallowed_lines
from causalkd.data.tasks.declared_splits import declares_splits, is_saved, saved_splits
from causalkd.data.tasks.find_files import FORMATS
from causalkd.data.tasks.kinds import Kind
from causalkd.files.digests import files_digest

if TYPE_CHECKING:
    from datasets import Dataset

_FILLED = re.compile(r"\S")


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of one split, and where they came from."""

    rows: "Dataset"
    origin: str
    numbers: Sequence[int] | None = None
    """The numbers of these rows in the files, from 0; None for all."""

    def select(self, chosen: Sequence[int], origin: str | None = None) -> "Table":
        """Some of the rows, whose numbers in the files stay known."""
        numbers = chosen if self.numbers is None else [self.numbers[number] for number in chosen]
        return Table(self.rows.select(chosen), origin or self.origin, numbers)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.rows.column_names)


def format_of(file: Path) -> str:
    """The format of a file: by the end of its name, and for JSON by its structure.

    Raises ValueError for an unknown one.
    """
    found = FORMATS.get(file.suffix.lower())
    if found is None:
        packed = FORMATS.get(Path(file.stem).suffix.lower())
        advice = "Unpack the file" if packed else "Rename the file, or convert it"
        raise ValueError(f"{file} has no ending of a known format; it can be {', '.join(FORMATS)}. {advice}")
    if found != "json":
        return found
    try:
        start = _start(file)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text in UTF-8: {error}. Convert it") from None
    if start.startswith("{") and '"paragraphs"' in start:
        return "squad"
    return "json"


def read_files(paths: Sequence[Path], kind: Kind | None = None) -> Table:
    """The rows of some files of one format, as one table; a text file of tagged words is in CoNLL's format.

    Raises ValueError if they differ in format, or a file cannot be read.
    """
    name = _one_format({file: FORMATS.get(file.suffix.lower()) or format_of(file) for file in paths})
    if name == "json":
        name = _one_format({file: format_of(file) for file in paths})
    if name == "text" and kind == "token_classification":
        name = "conll"
    origin = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files, {paths[0]} to {paths[-1]}"
    written = [file for file in paths if file.stat().st_size]
    try:
        rows = _READERS[name](written) if written else None
    except UnicodeDecodeError as error:
        raise ValueError(f"{origin} is not text in UTF-8: {error}. Convert it") from None
    if rows is None or not len(rows):
        raise ValueError(f"{origin} is empty: it has no rows. Give a file with one row or more")
    return Table(rows, origin)


def _one_format(formats: Mapping[Path, str]) -> str:
    examples = {name: file.name for file, name in reversed(list(formats.items()))}
    if len(examples) > 1:
        counts = Counter(formats.values())
        listed = ", ".join(f"{counts[name]:,} {name} such as {file}" for name, file in examples.items())
        raise ValueError(f"files of several formats cannot be one split: {listed}. Give files of one format")
    return next(iter(examples))


def hub_splits(name: str, config: str | None, revision: str | None) -> list[str]:
    """The names of the splits of a hub data set.

    Raises ValueError if there is no such data set, or the hub cannot be reached.
    """
    import datasets

    if is_saved(name):
        return list(saved_splits(name))
    return _of_hub(name, lambda: datasets.get_dataset_split_names(name, config, revision=revision))


def read_hub(name: str, config: str | None, revision: str | None, split: str) -> Table:
    """The rows of one split of a hub data set; a split may be a slice, such as `train[:10%]`.

    Raises ValueError if there is no such data set or split, or the hub cannot be reached.
    """
    import datasets

    if is_saved(name):
        saved = saved_splits(name)
        if split not in saved:
            raise ValueError(
                f"{name} has no split {split!r}; it has {', '.join(saved)}. Name one, or a part of one as `part_of: "
                f"{next(iter(saved))}`, since slices of a folder that `save_to_disk` wrote are not read"
            )
        return Table(saved[split], f"{name}, split {split}")
    rows = _of_hub(name, lambda: datasets.load_dataset(name, config, split=split, revision=revision))
    return Table(rows, f"{name}, split {split}{'' if Path(name).is_dir() else ', from the hub'}")


def _of_hub(name: str, ask: Callable[[], Any]) -> Any:
    if Path(name).is_dir() and not declares_splits(name):  # the library would search all of it
        raise ValueError(
            f"{name!r} is a folder without a file of a known format; the names of such files end in "
            f"{', '.join(FORMATS)}, and hidden folders and virtual environments are not searched. Name another "
            "folder, or a file"
        )
    try:
        return ask()
    # ConnectionError is an OSError, and so is FileNotFoundError, of which DatasetNotFoundError is a subclass.
    except (OSError, ValueError) as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if Path(name).is_dir():
            raise ValueError(
                f"{name!r} cannot be read as its README.md says ({cause}). Name one of its configurations as `config`, "
                "or the files themselves as `path`"
            ) from None
        raise ValueError(
            f"{name!r} is neither a file, a folder or a pattern here, nor a data set that can be loaded from the hub "
            f"({cause}). Correct `path`, or load it once where there is a network"
        ) from None


def _read_csv(paths: list[Path], separator: str = ",") -> "Dataset":
    """Every value as the text in the file: `2020` and `NA` are texts until a column's meaning is known."""
    from datasets import Dataset, Features, Value

    names, has_rows = columns_of_files(paths, separator)
    features = Features({name: Value("string") for name in names})
    if not has_rows:
        return Dataset.from_dict({name: [] for name in names}, features)
    rows = _load("csv", paths, features=features, sep=separator, keep_default_na=False, encoding="utf-8-sig")
    if separator == "\t":
        refuse_swallowed_lines(rows, paths)
    return rows


def _read_json(paths: list[Path]) -> "Dataset | None":
    """Objects in a list, or one after the other; None if all lists are empty."""
    starts = {file: _start(file) for file in paths}
    other = [f"{file} ({start[:30]!r})" for file, start in starts.items() if not re.match(r"\{|\[\s*[{\]]", start)]
    if other:
        raise ValueError(
            f"there are no rows in {', '.join(other[:5])}: a JSON file must hold objects with a value for each column, "
            "in a list or one a line. Convert the file"
        )
    filled = [file for file, start in starts.items() if not re.match(r"\[\s*\]", start)]
    if not filled:
        return None
    try:
        rows = _load("json", filled)
    except ValueError:
        _find_json_faults(filled)
        raise
    # JSON has no dates: a text that looks like one is a text, but is read as a time and loses its form.
    return _as_written(rows, filled) if "timestamp[" in str(rows.features.arrow_schema) else rows


def _as_written(rows: "Dataset", paths: Sequence[Path]) -> "Dataset":
    """The rows of JSON files with every text as it is in the file: columns with times are read again, into memory."""
    from datasets import Dataset, Features, concatenate_datasets

    objects = [each for file in paths for each in _objects(file.read_text(encoding="utf-8-sig"))]
    # All types but the times are kept: for a column with values of several types none would be found again.
    features = {name: _without_times(feature) for name, feature in rows.features.items()}
    changed = Features({name: each for name, each in features.items() if each != rows.features[name]})
    texts = Dataset.from_dict({name: [each.get(name) for each in objects] for name in changed}, changed)
    return concatenate_datasets([rows.remove_columns(list(changed)), texts], axis=1).select_columns(list(features))


def _without_times(feature: Any) -> Any:
    """The type of a column with texts where it has times, at any depth."""
    from datasets import List, Value

    if isinstance(feature, dict):
        return {name: _without_times(each) for name, each in feature.items()}
    if isinstance(feature, List):
        return List(_without_times(feature.feature), feature.length)
    return Value("string") if getattr(feature, "dtype", "").startswith("timestamp[") else feature


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON text: in a list, or one after the other."""
    decoder = json.JSONDecoder()
    place = len(text) - len(text.lstrip())
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        place = next((found.start() for found in _FILLED.finditer(text, place)), len(text))
        yield from value if isinstance(value, list) else [value]


def _start(file: Path) -> str:
    with file.open(encoding="utf-8-sig") as opened:
        return opened.read(65536).lstrip()


def _find_json_faults(paths: list[Path]) -> None:
    """Raises a ValueError that names the lines of JSON Lines files that are not JSON objects."""
    faults: list[str] = []
    for file in paths:
        for number, line in enumerate(files.lines(file), 1) if file.suffix == ".jsonl" else ():
            try:
                fault = None if isinstance(json.loads(line), dict) else f"{line[:60]!r} is no object"
            except json.JSONDecodeError as error:
                fault = f"no JSON ({error})"
            if fault is not None:
                faults.append(f"{file}, line {number}: {fault}")
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError(f"{'; '.join(faults[:5])}{more}. Correct these lines")


def _load(builder: str, paths: list[Path], **options: Any) -> "Dataset":
    """The rows of files, from the cache if these contents have been read before.

    The library knows files by their path and time alone, which another version from an archive may share.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    try:
        named = {"name": f"contents-{files_digest(paths)[:32]}", "data_files": [str(file) for file in paths]}
        return datasets.load_dataset(builder, split="train", **named, **options)
    # The ArrowInvalid of a broken Parquet file is a ValueError.
    except (DatasetGenerationError, ValueError) as error:
        cause = error.__cause__ or error
        listed = ", ".join(map(str, paths[:3]))
        raise ValueError(
            f"{listed} cannot be read as {builder} ({type(cause).__name__}: {str(cause).strip()}). Correct the file"
        ) from None


def _read_rows(read: Callable[[Path], Iterator[Mapping[str, Any]]]) -> Callable[[list[Path]], "Dataset"]:
    def table(paths: list[Path]) -> "Dataset":
        from datasets import Dataset

        return Dataset.from_list([dict(row) for file in paths for row in read(file)])

    return table


def _conll_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    for words, tags in files.read_conll(file):
        yield {"words": words, "tags": tags}


def _squad_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    for question, context, answers in files.read_squad(file):
        starts, texts = [start for start, _ in answers], [text for _, text in answers]
        yield {"question": question, "context": context, "answers": {"answer_start": starts, "text": texts}}


_READERS: Mapping[str, Callable[[list[Path]], "Dataset | None"]] = {
    "csv": _read_csv,
    "tsv": lambda paths: _read_csv(paths, "\t"),
    "json": _read_json,
    "jsonl": _read_json,
    "parquet": lambda paths: _load("parquet", paths),
    "arrow": lambda paths: _load("arrow", paths),
    "text": lambda paths: _load("text", paths, sample_by="document", encoding="utf-8-sig"),
    "conll": _read_rows(_conll_rows),
    "squad": _read_rows(_squad_rows),
}
