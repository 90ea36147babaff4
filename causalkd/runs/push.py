"""The upload of a finished run's student to the hub: its model and card, its alignment and the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage] - the error of the library's present HTTP client
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from causalkd.alignment.spec import Alignment
from causalkd.errors import few, nearest
from causalkd.files.manifest import MANIFEST, damage, recorded_files
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.lock import working_alone
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.trained_run import read_recipe
from causalkd.verification.results.report import VerificationReport

_CARD = "README.md"
_HUBS_OWN = (".gitattributes",)
_READ_FIRST = ("adapter_config.json", "model.safetensors")
"""Files that transformers reads, if they exist, instead of any other weights."""


class Upload(NamedTuple):
    """The files to put on the hub, and the repository."""

    repo: str
    private: bool
    files: dict[str, Path]
    """The path of each file on this machine, by its path in the repository."""
    licensed: bool
    """Whether the card names a licence."""
    changed: tuple[str, ...] = ()
    """A sentence for each of the run's data, teacher, settings and alignment that had changed when it was measured; the
    report and the card name them too."""

    def lines(self) -> list[str]:
        """The files that would be sent, one per line, with their sizes."""
        sizes = {name: path.stat().st_size for name, path in self.files.items()}
        kind = "private, if it is created now" if self.private else "a public repository"
        head = f"{self.repo} ({kind}): {len(sizes)} files, {sum(sizes.values()):,} bytes"
        return [head, *(f"  {name}  {size:,}" for name, size in sizes.items()), *self.advice()]

    def advice(self) -> list[str]:
        """Lines about tasks that are left to the user."""
        own = f"{self.files[_CARD]} names no licence; write `license: NAME` at its top, or choose one on the hub"
        return [*(f"not measured as the run was made: {line}" for line in self.changed), *[own] * (not self.licensed)]


@working_alone
@no_bars_in_logs()
def push(
    path: str | Path,
    repo: str,
    *,
    student: str | None = None,
    seed: int | None = None,
    public: bool = False,
    dry_run: bool = False,
    api: HfApi | None = None,
    tell: Callable[[str], None] | None = None,
) -> Upload:
    """Put a student of a finished run on the hub, in one commit, with its card, the alignment and the report.

    Everything is checked before anything is sent, and every recorded file is read for that. The report quotes some
    held-out texts. The licence is left to the user.

    Args:
        path: The run folder.
        repo: The repository, such as `user/name`; it is made if it does not exist.
        student: The student's name; it must be given if the run has several.
        seed: The student's seed; it must be given if the run has several.
        public: Make a public repository, or write to one; private otherwise.
        dry_run: Only list the files, without contacting the hub.
        api: The hub; by default the one that the user is logged in to.
        tell: Receives lines about the files that are sent, and the address.

    Raises:
        ValueError: The run is unfinished or differs from what was written, it has no such student or several, or the
            repository cannot be used.
        OSError: The hub cannot be reached, or does not let the user write there.
    """
    upload = _checked(RunFolder(Path(path)), repo, student, seed, private=not public)
    say = tell if tell is not None else lambda line: None
    if dry_run:
        for line in upload.lines():
            say(line)
        return upload
    try:
        for line in _sent(upload, HfApi() if api is None else api):
            say(line)
    except HTTPError as error:
        raise OSError(f"the hub did not take {repo}: {error}") from error
    for line in upload.advice():
        say(line)
    return upload


def _checked(folder: RunFolder, repo: str, student: str | None, seed: int | None, *, private: bool) -> Upload:
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ValueError(f"{repo!r} cannot be a repository of the hub: {error}") from error
    recipe = read_recipe(folder)
    if not folder.report.is_file():
        raise ValueError(
            f"the run in {folder.path} is unfinished: {folder.report.name} is missing; continue it with the same "
            f"`causalkd distill` call, or verify it: `causalkd verify {folder.path}`"
        )
    name, number = _chosen(recipe, student, seed)
    checkpoint = folder.student(recipe, name, number)
    if (fault := damage(checkpoint)) is not None:
        raise ValueError(f"{checkpoint} is not as the run wrote it: {fault}; restore it from a copy, or train it again")
    changed = _check_report(folder, name, number)
    card = checkpoint / _CARD
    if not card.is_file():
        raise ValueError(f"{card} is missing; `causalkd verify {folder.path}` writes it again")
    model = sorted({*recorded_files(checkpoint), card} - {checkpoint / MANIFEST})
    files = {path.relative_to(checkpoint).as_posix(): path for path in model}
    reports = [folder.path / f"report.{kind}" for kind in ("json", "html", "md")]
    files |= {path.name: path for path in (folder.alignment, *reports) if path.is_file()}
    return Upload(repo, private, files, _names_licence(card), changed)


def _check_report(folder: RunFolder, name: str, seed: int) -> tuple[str, ...]:
    """Refuses a report that is about other students, or another alignment, than those in the folder; gives
    the changes with which the run was measured.
    """
    report = VerificationReport.read(folder.report)
    faults = []
    if (name, seed) not in [(each.name, each.seed) for each in report.students]:
        faults.append(f"does not mention {name}, seed {seed}")
    if report.alignment != Alignment.from_yaml(folder.alignment):
        faults.append(f"was made with another alignment than {folder.alignment.name}")
    if faults:
        raise ValueError(
            f"{folder.report} {' and '.join(faults)}; `causalkd verify {folder.path}` measures the run again"
        )
    return () if report.measured_on is None else report.measured_on.changed


def _chosen(recipe: Recipe, student: str | None, seed: int | None) -> tuple[str, int]:
    """The name and the seed of the chosen student."""
    names, seeds, faults = [part.name for part in recipe.students], list(recipe.seeds), []
    if student is None and len(names) > 1:
        faults.append(f"the run has the students {', '.join(names)}; name one (--student)")
    elif student is not None and student not in names:
        faults.append(f"student {student!r} is not in this run; {nearest(student, names)}")
    if seed is None and len(seeds) > 1:
        faults.append(f"the run has the seeds {', '.join(map(str, seeds))}; name one (--seed)")
    elif seed is not None and seed not in seeds:
        faults.append(f"seed {seed} is not in this run; its seeds are {seeds}")
    if faults:
        raise ValueError("\n".join(faults))
    return student or names[0], seeds[0] if seed is None else seed


def _names_licence(card: Path) -> bool:
    text = card.read_text(encoding="utf-8")
    head = text.split("---")[1] if text.startswith("---") else ""
    return any(line.startswith("license:") for line in head.splitlines())


def _sent(upload: Upload, api: HfApi) -> list[str]:
    """Makes the repository and the commit; lines with its address and the files of an earlier repository that stay."""
    try:
        known = api.repo_info(upload.repo)
    except RepositoryNotFoundError:
        known = None
    notes = [] if known is None else _checked_against(known, upload)
    api.create_repo(upload.repo, private=upload.private, exist_ok=True)
    added = [CommitOperationAdd(name, str(path)) for name, path in upload.files.items()]
    done = api.create_commit(upload.repo, added, commit_message="Student, card, alignment and report")
    return [f"sent {len(added)} files: {done.commit_url}", *notes]


def _checked_against(known: Any, upload: Upload) -> list[str]:
    """Notes about an existing repository; refuses a public one, and weights that would be read first."""
    if upload.private and not known.private:
        raise ValueError(
            f"{upload.repo} exists and is public; allow that (--public), make it private on the hub, or name another"
        )
    others = sorted({file.rfilename for file in known.siblings or ()} - {*upload.files, *_HUBS_OWN})
    weights = [name for name in others if name in _READ_FIRST]
    if weights:
        raise ValueError(
            f"{upload.repo} holds {few(weights)}, which would stay, and be read instead of the student's weights; "
            "delete that on the hub, or name another repository"
        )
    notes = [f"{upload.repo} also holds files that stay: {few(others)}"] if others else []
    stays_private = known.private and not upload.private
    return notes + ([f"{upload.repo} existed and stays private; its settings on the hub change that"] * stays_private)
