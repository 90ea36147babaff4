"""The parts of a recipe: strict, frozen data whose fields are the manual."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from causalkd.data.pairs.position_policy import PairChoice
from causalkd.data.tasks.kinds import KINDS, Kind, Metric
from causalkd.data.tasks.registry import TaskName
from causalkd.errors import nearest
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.recipe.objectives import MOST_TOKENS, ObjectivesPart, Part

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every generator takes."""
NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""What names a run or a student, and so a folder: up to 100 letters, digits, `_`, `.` and `-`, the last two not at the
start."""
Item = TypeVar("Item")
Listed = Annotated[tuple[Item, ...], Field(strict=False)]
"""A list, however it is written."""
LocalPath = Annotated[str, AfterValidator(os.path.expanduser)]
"""A path, of which `~` is the home folder; or a name."""
MOST_ROWS, MOST_STEPS, MOST_LAYERS, MOST_WIDTH = 10**9, 10**9, 1000, 10**6
"""Bounds beyond anything that trains: a larger number is a slip of the pen, and would only be found out of memory."""


class SplitPart(Part):
    """A split that is drawn from another, which then lacks these rows."""

    part_of: str
    """The split it is drawn from."""
    share: float = Field(gt=0, lt=1)
    """How much of it."""
    seed: Seed = 0
    """Seed of the drawing."""


class DataPart(Part):
    """What the models read: a task of the table by name, or with `path` and `kind` data of one's own."""

    task: TaskName | None = "planted"
    """Name in the task table (`planted`, `planted_lm`, `sst2`, `mnli`, `squad`, …); None with `path`."""
    path: LocalPath | None = None
    """Instead of `task`: a file, a folder, a pattern of files, or the name of a hub data set. Files are CSV, TSV, JSON,
    JSON Lines, Parquet, Arrow, plain text, CoNLL or SQuAD's JSON."""
    kind: Kind | None = None
    """What the rows of `path` are for."""
    columns: Mapping[str, str | Listed[str]] = {}
    """The column of `path` for each thing a row of the kind has, such as `text` and `label`; `text` may be two columns,
    the texts of a pair. Columns with the usual names are found."""
    labels: Listed[str] = ()
    """Names of the classes or tags of `path` in the order of their numbers; none to take those in the training rows,
    sorted."""
    splits: Mapping[str, str | SplitPart] = {}
    """Where `train`, `validation` and `test` of `path` are: a file, a split, or a part of another split. Without a
    `validation`, it is a tenth of `train`."""
    config: str | None = None
    """Configuration of a hub data set."""
    revision: str | None = None
    """Branch, tag or commit of a hub data set."""
    metrics: Listed[Metric] = Field(default=(), max_length=1)
    """How predictions for `path` are scored; none for what is usual for the kind."""
    train_limit: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    """Most training examples, drawn by `seed`; None for all there are."""
    eval_limit: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    """Most held-out examples; None for all there are."""
    max_length: int | None = Field(default=None, ge=3, le=MOST_TOKENS)
    """Longest row in tokens; what is longer is cut, and the number of such rows is reported. None for 128, or what the
    tokenizer takes where that is less."""
    prompt: Literal["alpaca", "chat"] = "alpaca"
    """How instructions are put: Alpaca's plain text, or the tokenizer's chat template."""
    packing: bool = False
    """Several training examples of a causal LM in a row, attention inside each; not where activations are exchanged."""
    seed: Seed = 0
    """Seed of generated data and of drawing the limited examples; sources, positions and masking are drawn by the seed
    of the training or verification."""
    tokenizer: LocalPath | None = None
    """Tokenizer of a teacher with fresh weights, a hub name or folder; None for a planted task's own."""
    sources: Literal["batch", "dataset"] = "batch"
    """Whether an interchange's source is another row of the batch (cheaper) or any other example."""
    group: int = Field(default=8, ge=2, le=MOST_ROWS)
    """In-batch sources come from the same this many consecutive rows."""

    @model_validator(mode="before")
    @classmethod
    def _no_task_with_a_path(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("path") is not None:
            return {"task": None, **data}
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> "DataPart":
        own = ("kind", "columns", "labels", "splits", "config", "revision", "metrics")
        given = [name for name in own if getattr(self, name)]
        if (self.task is None) == (self.path is None):
            raise ValueError(f"give `task` or `path`, one of them; got task={self.task!r}, path={self.path!r}")
        if self.path is None and given:
            raise ValueError(f"{', '.join(given)} describe your own data, but `path` is not given; give it")
        if self.path is not None and self.kind is None:
            raise ValueError(f"`path` is {self.path!r}: say with `kind` what its rows are for: {', '.join(KINDS)}")
        return self

    @property
    def data_name(self) -> str:
        """What the data are called in messages and tables."""
        return self.task or str(self.path)


class SequencesPart(Part):
    """Responses that a model writes, for the student of a causal LM to learn on instead of the data's."""

    generator: Literal["teacher", "student", "mixed"]
    """Who writes: the teacher, once before training; the student while it trains; or either, token by token."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Probability that a batch (an example, for `teacher`) gets a written response; GKD's λ."""
    teacher_share: float = Field(default=0.2, ge=0, le=1)
    """Probability that the teacher draws a token, for `mixed`."""
    max_tokens: int = Field(default=128, ge=1, le=MOST_TOKENS)
    """Longest response in tokens."""
    temperature: float = Field(default=1.0, ge=0)
    """Temperature of the drawing; 0 takes the likeliest token."""


class TeacherCachePart(Part):
    """What is kept of a teacher's answers, and where."""

    max_mib: int = Field(ge=1, le=2**40)
    """Room for it, best for every row: a batch with one that is not kept runs the teacher for all of its rows."""
    on_disk: bool = False
    """In a file that all students of the run share, instead of each student's memory; gone when the run is done."""
    top_k: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Of a language model's predictions so many each, and the rest spread evenly; None keeps all."""
    states: bool = False
    """Also hidden states and the activations that are exchanged, so that the teacher need not run on base at all."""


class TrainingPart(Part):
    """How a model learns; the names are those of transformers' TrainingArguments where they mean the same."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Optimizer steps; give this or `epochs`."""
    epochs: float | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Passes over the training examples; 3 where neither is given."""
    batch_size: int = Field(default=32, ge=1, le=MOST_ROWS)
    """Rows of a micro-batch on one device."""
    gradient_accumulation: int = Field(default=1, ge=1, le=MOST_STEPS)
    """Micro-batches per optimizer step."""
    sequences: SequencesPart | None = None
    """Responses that a model writes; None learns on the data's own."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises to its peak."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rate falls afterwards."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """The student's gradients are scaled down to this norm."""
    group_by_length: bool = False
    """Batch rows of similar length together, which saves padding."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Mixed precision, where the device has it."""
    logging_steps: int = Field(default=25, ge=1, le=MOST_STEPS)
    """Steps between two rows of metrics.jsonl."""
    teacher_cache: TeacherCachePart | None = None
    """Keep what the teacher says of each row, so that later epochs need not ask; None asks every time."""
    save_steps: int = Field(default=500, ge=1, le=MOST_STEPS)
    """Steps between two checkpoints that training can resume from."""
    report_to: Listed[str] = ()
    """Trackers of transformers to report to, e.g. `tensorboard`; none unless asked."""

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingPart":
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"`steps` is {self.steps} and `epochs` is {self.epochs}; give one of them")
        return self


class TeacherPart(Part):
    """The model whose computation is copied."""

    model: LocalPath | None = None
    """Hub name, folder, `minilm-l6` or `smollm2-135m`."""
    config: Mapping[str, Any] | None = None
    """Instead of `model`: a transformers configuration with `model_type`, for fresh weights."""
    training: TrainingPart | None = None
    """Train it on the task first; None takes it as it is."""
    seed: Seed = 0
    """Seed of fresh weights and of its training."""

    @model_validator(mode="after")
    def _one_origin(self) -> "TeacherPart":
        if (self.model is None) == (self.config is None):
            raise ValueError(f"give `model` or `config`, one of them; got model={self.model!r}, config={self.config!r}")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("`config` needs `model_type`, such as bert or gpt2")
        faults = [] if self.config is None else _beyond_bounds(self.config)
        if faults:
            raise ValueError("; ".join(faults))
        if self.config is not None and self.training is None:
            raise ValueError("a teacher with fresh weights knows nothing: give its `training`")
        return self


class LoraPart(Part):
    """Low-rank adapters that learn instead of a student's own weights; needs the extra `lora`."""

    rank: int = Field(default=8, ge=1)
    """Columns of each factor."""
    alpha: int = Field(default=16, ge=1)
    """The adapters' output is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of what enters an adapter."""
    targets: tuple[str, ...] | None = None
    """Names of linear layers as they end in the stock model, such as `q_proj`; None takes all in the blocks."""


class StudentPart(Part):
    """A student: where its weights start, and what it is trained on."""

    name: str = Field(pattern=NAME)
    """Its name in folders, tables and figures."""
    layers: Annotated[Listed[int], Field(max_length=MOST_LAYERS)] | None = None
    """Cut from the teacher: the teacher's block behind each block of the student."""
    every: int | None = Field(default=None, ge=1, le=MOST_LAYERS)
    """Cut from the teacher: blocks 0, every, 2·every, …"""
    width: int | None = Field(default=None, ge=1, le=MOST_WIDTH)
    """Width of a student that is cut from the teacher; None for the teacher's."""
    model: LocalPath | None = None
    """Instead: hub name or folder of a checkpoint."""
    lora: LoraPart | None = None
    """Train low-rank adapters, which are merged when the student is saved; None trains all weights."""
    objectives: ObjectivesPart
    """What it is trained on."""
    training: Mapping[str, Any] = {}
    """Keys of the recipe's `training` that differ for this student."""

    @model_validator(mode="after")
    def _one_origin(self) -> "StudentPart":
        given = [name for name in ("layers", "every", "model") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of `layers`, `every` and `model`; got {', '.join(given) or 'none of them'}")
        if self.model is not None and self.width is not None:
            raise ValueError(f"`width` is {self.width}, but {self.model!r} has a width; leave `width` or `model` out")
        if self.name == "teacher":
            raise ValueError("`name` is 'teacher', under which the teacher's own rows are logged; choose another")
        return self


class VerificationPart(Part):
    """On what the claim is tested."""

    pairs: int = Field(default=2000, ge=2, le=MOST_ROWS)
    """Held-out pairs of base and source."""
    pair_selection: PairChoice = "uniform"
    """Which pairs: any two examples; of the same length; with the same segments at the same tokens; of different
    labels; both answered rightly by the teacher and every student; or differing in one variable of a planted task."""
    variable: str | None = None
    """That variable, for `other_variable`."""
    components: Listed[str] = ("block_output",)
    """Components whose teacher site × student site grid is measured; with none, the declared pairs alone. Of
    `head_attention_value_output` also every head of each declared pair's layers."""
    batch_size: int = Field(default=100, ge=2, le=MOST_ROWS)
    """Rows of a forward."""
    seed: Seed = 0
    """Seed of pairs and positions."""
    eval_every_steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Steps between two measurements of effective IIA on 200 of the pairs while a student trains, for the log, the bar
    and trackers; at the first logged step from there on. None measures afterwards alone."""

    @model_validator(mode="after")
    def _variable_belongs_to_its_choice(self) -> "VerificationPart":
        if (self.pair_selection == "other_variable") != (self.variable is not None):
            raise ValueError(
                f"`pair_selection` is {self.pair_selection}, `variable` is {self.variable}; "
                "give `variable` with other_variable alone"
            )
        return self

    @field_validator("components")
    @classmethod
    def _known(cls, components: tuple[str, ...]) -> tuple[str, ...]:
        faults = [f"{name!r}: {nearest(name, list(COMPONENTS))}" for name in components if name not in COMPONENTS]
        if faults:
            raise ValueError("; ".join(faults))
        return components


def _beyond_bounds(config: Mapping[str, Any]) -> list[str]:
    """What a configuration asks for that no model has, and that would take all memory or time to build."""
    bounds = {key: MOST_LAYERS if "layers" in key or key == "n_layer" else MOST_TOKENS for key in config}
    return [
        f"`config.{key}` is {config[key]}, and a model has at most {most:,}; give a smaller number"
        for key, most in bounds.items()
        if isinstance(config[key], int) and config[key] > most
    ]
