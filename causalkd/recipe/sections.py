"""The sections of a recipe: strict, frozen data, documented field by field."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from causalkd.data.pairs.position_policy import PairChoice
from causalkd.data.tasks.kinds import KINDS, Kind, Metric
from causalkd.data.tasks.registry import TaskName
from causalkd.models.config_bounds import MOST_LAYERS, beyond_bounds
from causalkd.models.hooks.hook_names import nearest_tensor
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.recipe.label_name import LabelName
from causalkd.recipe.objectives import ObjectivesPart
from causalkd.recipe.part import MOST_ROWS, MOST_STEPS, MOST_TOKENS, MOST_WIDTH, Part
from causalkd.recipe.passed_on import Listed, LoadingPart, LoraPart, OptimizerPart

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that every random generator accepts."""
NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""A name of a run or a student, which becomes a folder: up to 100 letters, digits, `_`, `.` and `-`, not starting
with the last two."""
LocalPath = Annotated[str, AfterValidator(os.path.expanduser)]
"""A path, where `~` is the home folder, or a name."""


class SplitPart(Part):
    """A split that is drawn from another split, which then lacks these rows."""

    part_of: str
    """The split that the rows are drawn from."""
    share: float = Field(gt=0, lt=1)
    """The share of that split, as a number between 0 and 1."""
    seed: Seed = 0
    """Seed of the draw."""


class DataPart(Part):
    """The data that the models read: a task of the registry by name, or your own data with `path` and `kind`."""

    task: TaskName | None = "planted"
    """Name of a registered task (`planted`, `planted_lm`, `sst2`, `mnli`, `squad`, …); None with `path`."""
    path: LocalPath | None = None
    """Instead of `task`: files, a folder or a hub name; CSV, TSV, JSON (Lines), Parquet, Arrow, text, CoNLL, SQuAD."""
    kind: Kind | None = None
    """The use of the rows of `path`, such as classification or text for a causal LM."""
    columns: Mapping[str, str | Listed[str]] = {}
    """The column of `path` for each role of the kind (`text`, `label`, …; two for a pair); usual names are found."""
    labels: Listed[LabelName] = ()
    """Names of the classes or tags of `path` in order, the second the positive class of `f1`; default: sorted names."""
    splits: Mapping[str, LocalPath | SplitPart] = {}
    """The source of each split: a file, a split of `path`, or a part of another one, as by default of `train`."""
    config: str | None = None
    """Configuration of the hub data set."""
    revision: str | None = None
    """Branch, tag or commit of the hub data set."""
    metrics: Listed[Metric] = Field(default=(), max_length=10)
    """The metrics of predictions for `path`, the first for decisions; by default the usual ones of the kind."""
    train_limit: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    """Largest number of training examples, drawn by `seed`; None means all. From text, documents or parts of it are
    drawn, each of which gives all its rows, until there are enough."""
    eval_limit: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    """Largest number of held-out examples; None means all."""
    heldout_share: float | None = Field(default=None, gt=0, lt=1)
    """Hold out this share of the training examples, drawn by `seed`; the validation split is then not read."""
    keep_validation: bool = False
    """Whether `heldout_share` also leaves unread the rows of `path` that are the validation split if none is named."""
    max_length: int | None = Field(default=None, ge=3, le=MOST_TOKENS)
    """Longest row in tokens of each model; longer ones are cut and counted. None: 128, or the tokenizer's limit."""
    prompt: Literal["alpaca", "chat"] = "alpaca"
    """The format of instructions: Alpaca's plain text, or the tokenizer's chat template, as always of `kind: chat`."""
    packing: bool = False
    """Whether to pack several training examples of a causal LM into one row; not with objectives that intervene."""
    seed: Seed = 0
    """Seed of generated data and of drawing a limited number of examples; sources, positions and masking are drawn by
    the seed of the training or verification."""
    tokenizer: LocalPath | None = None
    """Tokenizer of a teacher with fresh weights, a hub name or a folder; None means the tokenizer of a planted task."""
    sources: Literal["batch", "dataset"] = "batch"
    """Whether the source of a base is another row of the batch (cheaper) or any other example."""
    group: int = Field(default=8, ge=2, le=MOST_ROWS)
    """The size of the groups of consecutive rows within which in-batch sources are drawn."""

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
            raise ValueError(f"give either `task` or `path`; got task={self.task!r}, path={self.path!r}")
        if self.path is None and given:
            raise ValueError(f"{', '.join(given)} describe your own data and need `path`; give it, or leave them out")
        if self.path is not None and self.kind is None:
            raise ValueError(f"`path` is {self.path!r}: say with `kind` what its rows are used for: {', '.join(KINDS)}")
        return self

    @property
    def data_name(self) -> str:
        """The name of the data in messages and tables."""
        return self.task or str(self.path)


class SequencesPart(Part):
    """Responses that a model writes, on which a causal LM student is trained instead of the data's own."""

    generator: Literal["teacher", "student", "mixed"]
    """The writer: the teacher, once before training; the student during training; or a mixture, token by token."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Probability that a batch (for `teacher`: an example) gets a written response; GKD's λ."""
    teacher_share: float = Field(default=0.2, ge=0, le=1)
    """Probability that a token is sampled from the teacher, for `mixed`."""
    max_tokens: int = Field(default=128, ge=1, le=MOST_TOKENS)
    """Longest response in tokens."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature; 0 takes the likeliest token."""

    @model_validator(mode="after")
    def _a_share_of_a_mixture(self) -> "SequencesPart":
        usual = SequencesPart.model_fields["teacher_share"].default
        if self.generator != "mixed" and self.teacher_share != usual:
            raise ValueError(
                f"`teacher_share` is {self.teacher_share}, and with the generator {self.generator!r} one model writes "
                "every token; leave it out, or let `mixed` write"
            )
        return self


class TeacherCachePart(Part):
    """The cache of the teacher's outputs, which are kept for later epochs."""

    max_mib: int = Field(ge=1, le=2**40)
    """Memory for them, in MiB; a batch with a row that is not kept runs the teacher for all its rows."""
    on_disk: bool = False
    """Whether to keep them in one file for all students of a run instead of in memory; it is deleted after the run."""
    top_k: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """The number of a language model's predictions kept per token, the rest being spread evenly; None keeps all."""
    states: bool = False
    """Whether to keep hidden states and activations at aligned sites, so that the teacher skips base."""


class TrainingPart(OptimizerPart):
    """The training of a model; names are those of transformers' TrainingArguments if the meaning is the same."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Number of optimizer steps; give this or `epochs`."""
    epochs: float | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Number of passes over the training examples; 3 if neither is given."""
    batch_size: int = Field(default=32, ge=1, le=MOST_ROWS)
    """Rows of one micro-batch on one device."""
    gradient_accumulation: int = Field(default=1, ge=1, le=MOST_STEPS)
    """Micro-batches per optimizer step."""
    sequences: SequencesPart | None = None
    """Responses that a model writes; None trains on the data's own."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises to its peak."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rate falls after its peak."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """The norm to which the student's gradients are clipped."""
    group_by_length: bool = False
    """Whether to batch rows of similar length together, which saves padding."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Whether to use mixed precision where the device has it."""
    compile_blocks: bool = False
    """Whether to compile the student's blocks with torch.compile; refused if an objective reads their activations."""
    logging_steps: int = Field(default=25, ge=1, le=MOST_STEPS)
    """Steps between two rows of metrics.jsonl."""
    teacher_cache: TeacherCachePart | None = None
    """Keep the teacher's outputs of each row, for later epochs; None computes them each time."""
    save_steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] | Literal["epoch"] = 500
    """Steps between two checkpoints from which training can resume, or `epoch` for one after each epoch."""
    report_to: Listed[str] = ()
    """Trackers of transformers to report to, e.g. `tensorboard`; by default none."""

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingPart":
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"`steps` is {self.steps} and `epochs` is {self.epochs}; give only one of them")
        return self


class TeacherPart(LoadingPart):
    """The teacher: the model whose computation the students learn."""

    model: LocalPath | None = None
    """Hub name, folder, `minilm-l6` or `smollm2-135m`."""
    config: Mapping[str, Any] | None = None
    """Instead of `model`: a transformers configuration with `model_type`, for a teacher with fresh weights."""
    training: TrainingPart | None = None
    """Training of the teacher on the task before distillation; None takes the teacher as it is."""
    seed: Seed = 0
    """Seed of fresh weights and of the teacher's training."""
    outputs: LocalPath | None = None
    """Folder that `causalkd precompute` wrote: students learn from it, and `model` is loaded for verification alone."""

    @model_validator(mode="after")
    def _one_origin(self) -> "TeacherPart":
        if (self.model is None) == (self.config is None):
            raise ValueError(f"give either `model` or `config`; got model={self.model!r}, config={self.config!r}")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("`config` needs `model_type`, such as bert or gpt2")
        faults = [] if self.config is None else beyond_bounds(self.config, "config.")
        if faults:
            raise ValueError("; ".join(faults))
        if self.outputs is not None and (self.model is None or self.training is not None):
            raise ValueError(f"`outputs` is {self.outputs!r}, of a checkpoint: give it as `model`, without `training`")
        if self.config is not None and self.training is None:
            raise ValueError("a teacher with fresh weights must be trained first: give its `training`")
        return self

    @property
    def origin(self) -> str | None:
        """The folder or hub name that its configuration and tokenizer are read from, before weights are loaded."""
        return self.model if self.outputs is None else os.path.join(self.outputs, "teacher")


class StudentPart(Part):
    """A student: its initial weights and its objectives."""

    name: str = Field(pattern=NAME)
    """The student's name in folders, tables and figures."""
    layers: Annotated[Listed[int], Field(max_length=MOST_LAYERS)] | None = None
    """Cut the student from the teacher: for each block of the student, the teacher's block that it is copied from."""
    every: int | None = Field(default=None, ge=1, le=MOST_LAYERS)
    """Cut the student from the teacher: take blocks 0, every, 2·every, …"""
    width: int | None = Field(default=None, ge=1, le=MOST_WIDTH)
    """Width of a student that is cut from the teacher; None means the teacher's width."""
    model: LocalPath | None = None
    """Instead of cutting: hub name or folder of a checkpoint, with its own tokenizer if the task has labels."""
    lora: LoraPart | None = None
    """Train low-rank adapters, which are merged when the student is saved; None trains all weights."""
    objectives: ObjectivesPart
    """The objectives that the student is trained on."""
    training: Mapping[str, Any] = {}
    """Keys of the recipe's `training` that are different for this student."""

    @model_validator(mode="after")
    def _one_origin(self) -> "StudentPart":
        given = [name for name in ("layers", "every", "model") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of `layers`, `every` and `model`; got {', '.join(given) or 'none of them'}")
        if self.model is not None and self.width is not None:
            raise ValueError(f"`width` is {self.width}, but {self.model!r} has its own; leave `width` or `model` out")
        if self.name == "teacher":
            raise ValueError("`name` is 'teacher', which is reserved for the teacher's own log; choose another name")
        return self


class VerificationPart(Part):
    """The verification of the students."""

    pairs: int = Field(default=2000, ge=2, le=MOST_ROWS)
    """Number of held-out pairs of base and source."""
    pair_selection: PairChoice = "uniform"
    """Pairs: any two examples; of equal length; with the same segments at the same tokens; with different labels;
    both predicted correctly by the teacher and every student; or differing in one variable of a planted task."""
    variable: str | None = None
    """The variable, for `other_variable`."""
    components: Listed[str] = ("block_output",)
    """Components that are measured at every pair of a teacher layer and a student layer; an empty list measures the
    declared pairs alone. With `head_attention_value_output`, every head of the declared pairs' layers is measured
    too."""
    batch_size: int = Field(default=100, ge=2, le=MOST_ROWS)
    """Rows of one forward pass."""
    seed: Seed = 0
    """Seed of pairs and positions."""
    tolerance: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    """The largest difference of two predictions that count as equal, in the unit of the labels; for regression."""
    eval_every_steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Steps between two measurements of effective IIA on 200 of the pairs during training, for the log, the progress
    bar and trackers; each is made at the first logged step from then on. None measures only after training."""

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
        faults = [f"{name!r}: {nearest_tensor(name)}" for name in components if name not in COMPONENTS]
        if faults:
            raise ValueError("; ".join(faults))
        return components
