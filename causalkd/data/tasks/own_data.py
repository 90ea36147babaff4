"""Your own data: where the rows are and what their columns mean, and the checked rows of a split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from causalkd.data.tasks.columns import columns_of
from causalkd.data.tasks.data_files import Table, hub_splits, read_files, read_hub
from causalkd.data.tasks.declared_splits import declares_splits
from causalkd.data.tasks.encode import RowNames
from causalkd.data.tasks.find_files import find_files, split_of
from causalkd.data.tasks.kinds import Kind, Metric
from causalkd.data.tasks.labels import (
    check_names,
    check_sets,
    declared_names,
    flagged,
    flat,
    in_order,
    is_missing,
    named,
)
from causalkd.data.tasks.messages import as_messages, refuse_tools
from causalkd.data.tasks.row_checks import check_answers, check_rows
from causalkd.data.tasks.row_kinds import ROW_KINDS
from causalkd.data.tasks.split_files import files_by_split
from causalkd.data.tasks.split_parts import PartOf, drawn_parts, shared_rows, sliced_splits
from causalkd.task_types import Task

_NAMED: Mapping[Task, str] = {"classification": "label", "multi_label": "labels", "token_classification": "tags"}
"""The role of the column that has the labels, for the tasks whose labels have names."""


@dataclass(frozen=True)
class OwnData:
    """The declaration of your own rows; every argument but the first two is inferred if it is not given.

    Raises ValueError for columns, files or splits that are not there, with those that are.
    """

    path: str
    """File, folder, pattern of files, or name of a hub data set."""
    kind: Kind
    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """The column of each role of the kind; `text` may be two columns, the texts of a pair, and `labels` a column of 0
    and 1 for each label."""
    labels: tuple[str, ...] = ()
    """Names of the classes or tags in the order of their numbers; by default those in the training split, sorted."""
    splits: Mapping[str, str | PartOf] = field(default_factory=dict)
    """The sources of `train`, `validation` and `test`: a file, a split of the folder or the hub, or a part of
    another."""
    config: str | None = None
    """The hub data set's configuration."""
    revision: str | None = None
    """The hub data set's branch, tag or commit."""
    metrics: tuple[Metric, ...] = ()
    """The metrics of predictions, the first for decisions; none means the usual one of the kind."""
    validation_share: float | None = 0.1
    """The share of `train` that is held out if there is no other validation split; None for no such split."""

    def __post_init__(self):
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"`labels` names {', '.join(twice)} twice; name each label once")
        if self.labels and self.task not in _NAMED:
            raise ValueError(
                f"`labels` names classes or tags, and rows of kind {self.kind} have none: {', '.join(self.labels)} "
                "given; leave it out"
            )

    @property
    def task(self) -> Task:
        """The head that the rows are for."""
        return ROW_KINDS[self.kind].task

    @cached_property
    def sources(self) -> Mapping[str, str | list[Path]]:
        """The sources that exist by their own name: files of a local path, splits of a hub data set."""
        if self._found and (self.config or self.revision):
            raise ValueError(
                f"`config` and `revision` belong to hub data sets, but {self.path!r} names {len(self._found)} local "
                "file(s). Remove them, or name the files of the wanted configuration as `path`"
            )
        if not self._found and not declares_splits(self.path):
            if Path(self.path).suffix or Path(self.path).is_absolute() or Path(self.path).is_dir():
                place = "" if Path(self.path).is_absolute() else f", seen from {Path.cwd()}"
                raise ValueError(f"there is no data file at {self.path!r}{place}. Correct `path`")
        if not self._found:
            return {name: name for name in hub_splits(self.path, self.config, self.revision)}
        return files_by_split(self.path, self._found, self._named, self.splits)

    @cached_property
    def _found(self) -> list[Path]:
        """The local files; none for a hub data set, or for a folder that declares its splits."""
        return [] if declares_splits(self.path) else find_files(self.path)

    @cached_property
    def known_splits(self) -> Mapping[str, str | PartOf]:
        """Every split that can be loaded."""
        known: dict[str, str | PartOf] = {}
        names = {name: split_of(name) or name for name in self.sources}
        for name, split in names.items():
            same = [other for other in names if names[other] == split]
            if len(same) > 1 and split != "test" and split not in (*same, *self.splits):
                raise ValueError(
                    f"{self.path} has several splits that may be `{split}`: {', '.join(same)}. Name one in `splits`, "
                    f"or of a hub data set all of them, as `{split}: {'+'.join(same)}`"
                )
            known[split if len(same) == 1 else name] = name
        known |= self.splits
        if "train" in known and "validation" not in known and self.validation_share is not None:
            other = [name for name in self.splits if name not in ("train", "test")]
            if other:
                raise ValueError(
                    f"`splits` names {', '.join(other)} but no `validation`, so a part of `train` would be held out by "
                    "default. Name the split that students are measured on `validation`, or declare that part: "
                    f"`validation: {{part_of: train, share: {self.validation_share}}}`"
                )
            known["validation"] = PartOf("train", self.validation_share)
        return known

    def files(self, split: str) -> list[Path]:
        """The files of a split that is made of whole files; empty if it is a part of another, or on the hub."""
        parts = [part.split for part in self.known_splits.values() if isinstance(part, PartOf)]
        return [] if split in parts else self.files_read(split)

    def files_read(self, split: str) -> list[Path]:
        """The files of a split, or of it and its parts; empty if it is a part itself, or on the hub."""
        name = self.known_splits.get(split)
        return self._files(split, name) if isinstance(name, str) else []

    def shared(self, one: str, other: str) -> list[str]:
        """The files, or the number of hub rows, in both splits; a part counts as the split that it is drawn from.

        Parts of one split share nothing, with it or with each other.
        """
        parts = [(split, self.known_splits.get(split)) for split in (one, other)]
        wholes = [part.split if isinstance(part, PartOf) else split for split, part in parts]
        first, second = (self.known_splits.get(split) for split in wholes)
        if wholes[0] == wholes[1] or not isinstance(first, str) or not isinstance(second, str):
            return []
        if self._found:
            known = {file.resolve() for file in self._files(wholes[1], second)}
            return [str(file) for file in self._files(wholes[0], first) if file.resolve() in known]
        splits = {name for slices in (first, second) for name in self._sliced(wholes[0], slices)}
        if first != second and splits == {first, second}:
            return []
        sizes = {split: len(self._hub(split).rows) for split in sorted(splits)}
        count = shared_rows(first, second, sizes)
        return [f"{count} rows of {self.path} that {first} and {second} share"] if count else []

    def table(self, split: str) -> Table:
        """The raw rows of a split, without those that are drawn from it for another."""
        if split not in self.known_splits:
            raise ValueError(f"{self.path} has no split {split!r}; it has {', '.join(self.known_splits)}. Name it")
        found = self.known_splits[split]
        if isinstance(found, PartOf):
            if isinstance(self.known_splits.get(found.split), PartOf | None):
                of = "itself" if found.split == split else f"{found.split!r}, which is not a split of rows"
                raise ValueError(
                    f"split {split!r} is a part of {of}. A part is drawn from a split of whole files, which keeps the "
                    "other rows, as in `validation: {part_of: train, share: 0.1}`"
                )
            whole = self._whole(found.split)
            chosen = drawn_parts(self.known_splits, found.split, len(whole.rows))[split]
            return whole.select(chosen, f"{whole.origin}, {found.share:.0%} of {found.split} drawn")
        whole = self._whole(split)
        parts = drawn_parts(self.known_splits, split, len(whole.rows))
        if not parts:
            return whole
        taken = {number for numbers in parts.values() for number in numbers}
        rest = [number for number in range(len(whole.rows)) if number not in taken]
        return whole.select(rest, f"{whole.origin} without the rows drawn for another split")

    def columns_of(self, table: Table) -> dict[str, tuple[str, ...]]:
        """The columns of each role, in their order; ValueError for roles without one, and columns that are absent."""
        return columns_of(self.kind, self.columns, table)

    def label_names(self) -> tuple[str, ...]:
        """The classes or tags: those given, those that the data set declares, or those of all training rows, sorted."""
        if self.task not in _NAMED or self.labels:
            return self.labels
        table, found = self.table("train"), self.known_splits["train"]
        if table.numbers is not None:  # a class may be among the rows that are drawn for another split alone
            table = self._whole(found.split if isinstance(found, PartOf) else "train")
        column, *further = self.columns_of(table)[_NAMED[self.task]]
        if further:
            return (column, *further)
        declared = declared_names(table.rows, column)
        if declared:
            return declared
        values = list(table.rows[column])
        if self.kind == "multi_label":
            check_sets(values, (), f"{table.origin}, column {column!r}")
        values = values if self.kind == "classification" else flat(values)
        if any(isinstance(value, list | dict) for value in values):
            hint = "Use the kind multi_label" if self.kind == "classification" else "Give each row one list of labels"
            raise ValueError(f"{table.origin}, column {column!r} has lists where {self.kind} has single labels. {hint}")
        names = in_order(value for value in values if not is_missing(value))
        check_names(names, len(table.rows), self.kind, f"{table.origin}, column {column!r}")
        return tuple(names)

    def rows(self, table: Table) -> list[tuple]:
        """The rows in the form that examples are made from.

        Raises one ValueError for all values of the wrong type, with the row and the column of each.
        """
        columns = self.columns_of(table)
        sought = [(role, column) for role, names in columns.items() for column in names]
        declared = {column: declared_names(table.rows, column) for _, column in sought}
        values = [named(list(table.rows[column]), declared[column]) for _, column in sought]
        if self.kind == "chat":
            values = [list(map(as_messages, column)) for column in values]
            tools = table.rows["tools"][:] if "tools" in table.columns else ()
            refuse_tools(tools, RowNames(table.origin, table.numbers))
        if self.kind == "instructions" and columns["input"]:  # which a row may lack
            values[1] = ["" if value is None else value for value in values[1]]
        read_as = {"labels": "flag"} if len(columns.get("labels", ())) > 1 else {}
        read_as |= {"label": "score"} if self.kind == "regression" else {}
        roles = [read_as.get(role, role) for role, _ in sought]
        if self.labels and "labels" in roles:
            check_sets(values[-1], self.labels, f"{table.origin}, column {sought[-1][1]!r}")
        check_rows(roles, [column for _, column in sought], values, table.origin, table.numbers)
        if "flag" in roles:
            first, names = roles.index("flag"), columns["labels"]
            rows_of_flags = zip(*values[first:], strict=True)
            values[first:] = [[flagged(names, flags) for flags in rows_of_flags]]
        if self.kind == "instructions" and not columns["input"]:
            values.insert(1, [""] * len(table.rows))
        if self.kind == "question_answering":
            questions, contexts, found = values
            answers = [list(zip(each["answer_start"], each["text"], strict=True)) for each in found]
            check_answers(contexts, answers, table.origin, table.numbers)
            return list(zip(questions, contexts, answers, strict=True))
        return list(zip(*values, strict=True))

    def _whole(self, split: str) -> Table:
        name = self.known_splits[split]
        assert isinstance(name, str)
        files = self._files(split, name)
        if files:
            return read_files(files, self.kind)
        self._sliced(split, name)
        return self._hub(name)

    def _hub(self, name: str) -> Table:
        return read_hub(self.path, self.config, self.revision, name)

    def _sliced(self, split: str, slices: str) -> list[str]:
        """The splits of a hub data set whose rows a split takes; ValueError if one does not exist."""
        names = sliced_splits(slices, list(self.sources))
        unknown = [name for name in names if name not in self.sources]
        if unknown:
            raise ValueError(
                f"`splits.{split}` is {slices!r}, and {self.path} has no split {', '.join(unknown)}; it has "
                f"{', '.join(self.sources)}. Correct it"
            )
        return names

    def _files(self, split: str, name: str) -> list[Path]:
        """The files of a split; empty if it is on the hub."""
        here = self.sources.get(name)
        if isinstance(here, list):
            return here
        if here is not None or not self._found:
            return []
        files = self._named(name)
        if not files:
            raise ValueError(
                f"`splits.{split}` is {name!r}, which is no file in {self._folder} and not one of "
                f"{', '.join(self.sources)}. Correct it"
            )
        return files

    @property
    def _folder(self) -> Path:
        return Path(self.path) if Path(self.path).is_dir() else Path(self.path).parent

    def _named(self, name: str) -> list[Path]:
        """The files that a name in `splits` means: in the folder of the data, or seen from here."""
        return find_files(str(self._folder / name)) or find_files(name)
