"""Bad input, through the command line: one message that helps, before training starts, and no run folder."""

import re
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.runs.setup.preflight import preflight
from tests.data.tiny_tokenizers import WORDS, bert_like, gpt2_like
from tests.shrunk import SHRUNK, TINY, planted_model, shrunk

FROM_CHECKPOINT = ("teacher.config=null", "teacher.training=null", "students.kd.layers=[0, 1]")
OTHER_STUDENT = "students.kd.layers=null"
SITE = "alignment.pairs.middle.teacher.0"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny saved models that fit the planted task, or in one respect do not; and what is no checkpoint."""
    base = tmp_path_factory.mktemp("checkpoints")
    planted_model(num_hidden_layers=4).save_pretrained(base / "fits")
    planted_model("masked_lm").save_pretrained(base / "headless")
    planted_model(labels=("no", "yes")).save_pretrained(base / "labels")
    planted_model(labels=("neutral", "entailment", "contradiction")).save_pretrained(base / "order")
    planted_model(vocab_size=20).save_pretrained(base / "vocabulary")
    planted_model(max_position_embeddings=8).save_pretrained(base / "short")
    planted_model(num_hidden_layers=4).save_pretrained(base / "cut")
    (base / "cut" / "model.safetensors").write_bytes(b"cut")
    (base / "empty").mkdir()
    for name, tokenizer in (("bert_words", bert_like()), ("gpt2_words", gpt2_like())):
        tokenizer.save_pretrained(base / name)
    return base


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data, each file as small as can be; RTE has no rows."""
    lines = {"SST-2": "sentence\tlabel\nfine , a fox \t1\nlazy dog \t0\nthe cat sat\t1\n", "RTE": ""}
    for task, text in lines.items():
        for split in ("train", "dev"):
            path = tmp_path / "data" / "glue" / task / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (tmp_path / "data" / "lm").mkdir()
    for name in ("enwiki_gensim.txt", "wikitext2.raw.valid.txt"):
        (tmp_path / "data" / "lm" / name).write_text(f"{WORDS}\n" * 20)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def _told(output: Path, *changes: str) -> str:
    """What `causalkd distill` says to a recipe it refuses."""
    settings = [*SHRUNK["quickstart"], *TINY, f"output={output}", *changes]
    done = CliRunner().invoke(app, ["distill", "quickstart", *(p for change in settings for p in ("--set", change))])
    assert done.exit_code == 2, done.output
    assert done.stdout == "" and "Traceback" not in done.output
    assert done.stderr.count("causalkd: ") == 1
    assert not output.exists()
    return " ".join(done.stderr.partition("causalkd: ")[2].split())


BAD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown key": (("trainin.steps=3",), ("trainin: unknown key; did you mean training?",)),
    "unknown key of the configuration": (
        ("teacher.config.hiden_size=64",),
        ("teacher.config: hiden_size: unknown key of bert; did you mean hidden_size?",),
    ),
    "no such architecture": (("teacher.config.model_type=brt",), ("transformers has no 'brt'; did you mean bert?",)),
    "task": (
        ("data.task=plantd",),
        ("there is no task 'plantd'; there are planted, planted_lm, sst2", "Did you mean 'planted'?"),
    ),
    "alignment": (("alignment=midle",), ("alignment 'midle' is neither a preset nor a file", "did you mean middle?")),
    "layer": (
        (f"{SITE}.layer=9",),
        ("pairs[0].teacher[0]: block_output of layer 9 does not exist", "layers 0–3", "did you mean layer 3 (blocks.3"),
    ),
    "head": (
        (f"{SITE}={{layer: 1, component: head_attention_value_output, unit: h.pos, heads: [7]}}",),
        ("pairs[0].teacher[0]: heads [7] do not exist; there are heads 0–1",),
    ),
    "component without heads": (
        (f"{SITE}={{layer: 1, unit: h.pos, heads: [0]}}",),
        ("unit h.pos needs a component that is split by heads", "use head_attention_value_output"),
    ),
    "head that does not divide": (
        ("teacher.config.num_attention_heads=5",),
        ("teacher.config: transformers cannot build a bert of this configuration: The hidden size (16) is not a",),
    ),
    "negative width": (
        ("teacher.config.hidden_size=-16",),
        ("teacher.config: transformers cannot build a bert of this configuration: RuntimeError: ", "correct its sizes"),
    ),
    "no such activation": (("teacher.config.hidden_act=gelo",), ("configuration: KeyError: 'gelo'",)),
    "student width that does not divide": (
        ("students.kd.width=9",),
        ("student 'kd': width=9 is no whole number of heads", "give a multiple of 8"),
    ),
    "width of hidden_kd": (
        ("students.kd.width=8", "students.kd.objectives.hidden_kd={}"),
        ("student 'kd': hidden_kd", "the teacher's are 16 wide, the student's 8", "set hidden_kd's `projection`"),
    ),
    "width of diito_hidden": (
        ("students.diito.width=8", "students.diito.objectives.diito_hidden={}"),
        ("student 'diito': diito_hidden", "the teacher's are 16 wide, the student's 8", "leave this objective out"),
    ),
    "every student's fault at once": (
        ("students.kd.layers=[0, 4]", "students.diito.layers=[0, 9]"),
        ("student 'kd': layers=[0, 4]: the teacher has", "student 'diito': layers=[0, 9]: the teacher has blocks 0–3"),
    ),
    "every": ((OTHER_STUDENT, "students.kd.every=9"), ("every=9 leaves no block; the teacher has 4 blocks",)),
    "depths of a ready-made alignment": (
        ("alignment=middle", "students.kd.layers=[0, 1, 2, 3]"),
        (
            "'middle' selects different layers for students of different depths",
            "give them the same depth, or make one run for each",
        ),
    ),
    "no such checkpoint": (
        (*FROM_CHECKPOINT, "teacher.model={checkpoints}/nowhere"),
        ("no checkpoint '", "nowhere'", "Name a folder, a hub model, or one of minilm-l6"),
    ),
    "empty folder": ((OTHER_STUDENT, "students.kd.model={checkpoints}/empty"), ("no checkpoint '", "config.json")),
    "teacher without the head": (
        (*FROM_CHECKPOINT, "teacher.model={checkpoints}/headless"),
        ("no weights", "classifier.weight, which the classification head needs", "with `teacher.training` in a recipe"),
    ),
    "teacher's labels": (
        (*FROM_CHECKPOINT, "teacher.model={checkpoints}/labels"),
        ("has the labels ['no', 'yes'], but the labels ['entailment', 'contradiction', 'neutral'] were asked for",),
    ),
    "student's labels": (
        (OTHER_STUDENT, "students.kd.model={checkpoints}/labels"),
        ("student 'kd': checkpoint", "has the labels ['no', 'yes'], but the labels ['entailment', 'contradiction'"),
    ),
    "order of the student's labels": (
        (OTHER_STUDENT, "students.kd.model={checkpoints}/order"),
        ("has the labels ['neutral', 'entailment', 'contradiction'], but the labels ['entailment'",),
    ),
    "student's vocabulary": (
        (OTHER_STUDENT, "students.kd.model={checkpoints}/vocabulary"),
        (
            "the teacher's vocabulary has 32 entries, the student's 20, and the tokenizer of both 32",
            "resize_token_embeddings(32)",
        ),
    ),
    "vocabulary of the data": (
        ("teacher.config.vocab_size=10",),
        ("the data hold the token id 31", "has a vocabulary of 10 entries; use the model's own tokenizer"),
    ),
    "token types of the data": (
        ("teacher.config.type_vocab_size=1",),
        ("the data hold the token type 1", "has 1, counted from 0; use the model's own tokenizer"),
    ),
    "weights that are cut short": (
        (*FROM_CHECKPOINT, "teacher.model={checkpoints}/cut"),
        ("teacher.model: checkpoint", "has a configuration but no weights that load"),
    ),
    "a later seed": (("seeds=[0, -1]",), ("seeds[1]: -1 given; input should be greater than or equal to 0",)),
    "rows longer than the teacher takes": (
        ("teacher.config.max_position_embeddings=8",),
        ("the longest row has 11 tokens", "has 8 positions; set data.max_length to 8 or less"),
    ),
    "rows longer than a student takes": (
        (OTHER_STUDENT, "students.kd.model={checkpoints}/short"),
        ("student 'kd': the longest row has 11 tokens", "student, 2 layers × 16) has 8 positions"),
    ),
    "max_length": (
        ("data.max_length=12",),
        ("max_length 12 is more than the 11 tokens the model takes; give at most that",),
    ),
    "no such tokenizer": (("data.tokenizer={checkpoints}/nowhere",), ("is neither a folder nor on the hub",)),
    "no tokenizer": (("data.task=sst2",), ("fresh weights needs `data.tokenizer`",)),
    "limit": (("data.train_limit=0",), ("data.train_limit: 0 given; input should be greater than or equal to 2",)),
    "steps and epochs": (
        ("training.epochs=1", "training.steps=2"),
        ("training: `steps` is 2 and `epochs` is 1.0; give only one of them",),
    ),
    "segment": (
        ("alignment.positions={policy: segments, segments: [premis]}",),
        ("no row of task 'planted' has a segment 'premis'; did you mean premise?",),
    ),
    "token": (
        ("alignment.positions={policy: explicit, base: [11], source: [0]}",),
        ("student 'diito': position policy 'explicit' (base): example 0 has no token 11: it has 11 tokens",),
    ),
    "masked tokens": (
        ("alignment.positions={policy: masked}",),
        ("position policy 'masked'", "only masked_lm corrupts its input. Choose another policy"),
    ),
    "verification pairs": (
        ("verification.pairs=1000",),
        ("verification.pairs: 1000 pairs were asked for, but 24 examples make 552 pairs",),
    ),
    "one row a batch": (
        ("students.diito.training.batch_size=1",),
        ("student 'diito': a batch of one row", "or draw sources from the data set"),
    ),
    "batch larger than the data": (
        ("teacher.training.batch_size=100",),
        ("teacher: batch_size is 100, but there are 96 training examples", "set batch_size to 96 or less"),
    ),
    "tracker": (("training.report_to=[tensorbord]",), ("there is no tracker 'tensorbord'; did you mean tensorboard?",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message_and_no_folder(case: str, checkpoints: Path, tmp_path: Path) -> None:
    changes, parts = BAD[case]
    message = _told(tmp_path / "run", *(change.replace("{checkpoints}", str(checkpoints)) for change in changes))
    assert [part for part in parts if part not in message] == [], message


def test_a_tracker_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "causalkd.runs.setup.training_arguments.get_available_reporting_integrations", lambda: ["mlflow"]
    )
    assert "tracker 'wandb' is not installed; install its package, or choose from mlflow" in (
        _told(tmp_path / "run", "training.report_to=[wandb]")
    )


def _on_words(task: str, tokenizer: Path, model_type: str = "bert", *changes: str) -> tuple[str, ...]:
    sizes = "hidden_size: 16, num_hidden_layers: 4, num_attention_heads: 2, max_position_embeddings: 64"
    return (
        *(f"data.task={task}", f"data.tokenizer={tokenizer}", f"teacher.config={{model_type: {model_type}, {sizes}}}"),
        *("alignment=middle", "data.train_limit=null", "data.eval_limit=null", "verification.pairs=2"),
        *("training.batch_size=2", "teacher.training.batch_size=2", "data.max_length=16", *changes),
    )


def test_data_without_rows(data: Path, checkpoints: Path, tmp_path: Path) -> None:
    message = _told(tmp_path / "run", *_on_words("rte", checkpoints / "bert_words"))
    assert "glue/RTE/train.tsv has no rows, so there is nothing to run on. Give a file with data" in message


def test_data_without_a_token_to_learn(data: Path, checkpoints: Path, tmp_path: Path) -> None:
    (data / "lm" / "enwiki_gensim.txt").write_text("fox")
    message = _told(tmp_path / "run", *_on_words("wikitext_masked_lm", checkpoints / "bert_words"))
    assert "no row of lm/enwiki_gensim.txt" in message and "has a token to learn within max_length 16" in message


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = _told(tmp_path / "file" / "run")
    assert "a run cannot be written to" in message and "choose another `output`" in message


def test_data_that_are_not_there(data: Path, checkpoints: Path, tmp_path: Path) -> None:
    message = _told(tmp_path / "run", *_on_words("wnli", checkpoints / "bert_words"))
    assert re.search(r"there is no file .*glue/WNLI/train\.tsv\. Point CAUSALKD_DATA at a folder", message)


def test_a_max_length_beyond_the_positions(data: Path, checkpoints: Path, tmp_path: Path) -> None:
    changes = ("bert", "data.max_length=40", "teacher.config.max_position_embeddings=32")
    message = _told(tmp_path / "run", *_on_words("sst2", checkpoints / "bert_words", *changes))
    assert "data.max_length is 40" in message and "has 32 positions; set it to 32 or less" in message


def test_dropped_blocks_are_refused_before_training(data: Path, checkpoints: Path, tmp_path: Path) -> None:
    """Found only by trying a step: a student in training mode would leave sites out."""
    changes = ("teacher.config.layerdrop=0.5", "teacher.config.word_embed_proj_dim=16", "teacher.config.ffn_dim=16")
    message = _told(tmp_path / "run", *_on_words("wikitext_causal_lm", checkpoints / "gpt2_words", "opt", *changes))
    assert "student 'diito': layerdrop is 0.5" in message and "set it to 0" in message


FITTING = [
    *(("sst2", "bert_words", kind) for kind in ("bert", "deberta-v2")),  # the last reads no token types
    ("sst2", "gpt2_words", "gpt2"),
    ("wikitext_masked_lm", "bert_words", "roberta"),
    ("wikitext_causal_lm", "gpt2_words", "llama"),
]


@pytest.mark.parametrize(("task", "tokenizer", "model_type"), FITTING)
def test_what_fits_passes(
    data: Path, checkpoints: Path, tmp_path: Path, task: str, tokenizer: str, model_type: str
) -> None:
    """Other tasks and architectures too; GPT-2's tokenizer has no padding token, so its end token stands in."""
    changes = _on_words(task, checkpoints / tokenizer, model_type)
    found, alignment = preflight(shrunk("quickstart", tmp_path / "run", *changes))
    assert found.data.tokenizer.pad_token is not None and alignment.name == "middle"
    assert not (tmp_path / "run").exists()


def test_a_teacher_from_a_checkpoint_and_a_student_without_the_head(checkpoints: Path, tmp_path: Path) -> None:
    changes = (f"teacher.model={checkpoints / 'fits'}", OTHER_STUDENT, f"students.kd.model={checkpoints / 'headless'}")
    preflight(shrunk("quickstart", tmp_path / "run", *FROM_CHECKPOINT, *changes))


def test_nothing_stays_of_a_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor of the file that all trainings of a run share: another run's teacher would be refused by it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    preflight(shrunk("quickstart", tmp_path / "run", *TINY, "training.teacher_cache={max_mib: 1, on_disk: true}"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["temporary"]
    assert not list((tmp_path / "temporary").rglob("*.sqlite*"))
