"""A student on the hub, without a network: a stand-in takes what is sent."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import RepositoryNotFoundError

from causalkd.runs.push import push
from tests.shrunk import FinishedRun


@dataclass
class Hub(HfApi):
    """Takes calls in the place of the hub, and notes them."""

    private: bool | None = None
    """Of a repository that exists; None if there is none."""
    holds: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    taken: dict[str, bytes] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    def repo_info(self, repo_id: str, **_: Any) -> Any:
        self.calls.append("repo_info")
        if self.private is None:
            request = httpx2.Request("GET", "http://nowhere")
            raise RepositoryNotFoundError("none", response=httpx2.Response(404, request=request))
        return SimpleNamespace(private=self.private, siblings=[SimpleNamespace(rfilename=name) for name in self.holds])

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        self.calls.append("create_repo")
        self.made = {"repo": repo_id, **options}

    def create_commit(self, repo_id: str, operations: Any, **_: Any) -> Any:
        self.calls.append("create_commit")
        self.taken = {each.path_in_repo: Path(each.path_or_fileobj).read_bytes() for each in operations}
        return SimpleNamespace(commit_url=f"hub/{repo_id}/commit/1")


@pytest.fixture
def run(quickstart: FinishedRun, tmp_path: Path) -> Path:
    """A copy of a finished run of two students that a test may change."""
    return Path(shutil.copytree(quickstart.folder.path, tmp_path / "run"))


def test_the_student_its_card_the_alignment_and_the_report_are_sent_in_one_commit(run: Path) -> None:
    hub, told = Hub(), []
    push(run, "me/student", student="diito", api=hub, tell=told.append)
    assert hub.calls == ["repo_info", "create_repo", "create_commit"]
    assert hub.made == {"repo": "me/student", "private": True, "exist_ok": True}
    place = run / "student" / "diito-seed0"
    recorded = json.loads((place / "manifest.json").read_text())["files"]
    assert {*hub.taken} == {*recorded, "README.md", "alignment.yaml", "report.json", "report.html", "report.md"}
    assert all(hub.taken[name] == (place / name).read_bytes() for name in [*recorded, "README.md"])
    assert hub.taken["report.json"] == (run / "report.json").read_bytes()
    assert told[0] == f"sent {len(hub.taken)} files: hub/me/student/commit/1" and "names no licence" in told[1]
    assert ModelCard(hub.taken["README.md"].decode()).data.library_name == "transformers"


def test_files_that_others_put_into_the_folder_stay_here(run: Path) -> None:
    (run / "student" / "diito-seed0" / "secret.txt").write_text("x")
    hub = Hub()
    push(run, "me/student", student="diito", api=hub)
    assert "secret.txt" not in hub.taken


def test_a_dry_run_asks_nothing_of_the_hub_and_lists_every_file_with_its_size(run: Path) -> None:
    hub, told = Hub(), []
    upload = push(run, "me/student", student="kd", dry_run=True, api=hub, tell=told.append)
    assert hub.calls == [] and told[0].startswith(
        f"me/student (private, if it is created now): {len(upload.files)} files, "
    )
    for name, path in upload.files.items():
        assert f"  {name}  {path.stat().st_size:,}" in told


def test_the_licence_is_the_users(run: Path) -> None:
    card = run / "student" / "kd-seed0" / "README.md"
    card.write_text(card.read_text().replace("---\n", "---\nlicense: mit\n", 1))
    hub, told = Hub(), []
    push(run, "me/student", student="kd", api=hub, tell=told.append)
    assert len(told) == 1 and ModelCard(hub.taken["README.md"].decode()).data.license == "mit"


def test_a_public_repository_is_written_to_only_where_that_is_asked_for(run: Path) -> None:
    hub = Hub(private=False)
    with pytest.raises(ValueError, match="me/student exists and is public; allow that"):
        push(run, "me/student", student="kd", api=hub)
    assert hub.calls == ["repo_info"] and not hub.taken
    push(run, "me/student", student="kd", public=True, api=hub)
    assert hub.made["private"] is False and hub.taken


def test_what_stays_of_an_earlier_repository_is_said_and_weights_that_would_be_read_first_are_refused(
    run: Path,
) -> None:
    hub, told = Hub(private=True, holds=[".gitattributes", "config.json", "vocab.txt"]), []
    push(run, "me/student", student="kd", public=True, api=hub, tell=told.append)
    assert "me/student also holds files that stay: vocab.txt" in told
    assert any(line.startswith("me/student existed and stays private") for line in told)
    adapted = Hub(private=True, holds=["adapter_config.json"])
    with pytest.raises(
        ValueError, match=r"me/student holds adapter_config.json, which would stay, and be read instead"
    ):
        push(run, "me/student", student="kd", api=adapted)
    assert not adapted.taken


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, "the run has the students kd, diito; name one"),
        ({"student": "diit"}, r"student 'diit' is not in this run; .*diito"),
        ({"student": "kd", "seed": 4}, r"seed 4 is not in this run; its seeds are \[0\]"),
    ],
)
def test_exactly_one_student_is_chosen(run: Path, chosen: dict[str, Any], said: str) -> None:
    hub = Hub()
    with pytest.raises(ValueError, match=said):
        push(run, "me/student", **chosen, api=hub)
    assert not hub.calls


def _lose_report(run: Path) -> None:
    (run / "report.json").unlink()


def _lose_student(run: Path) -> None:
    (run / "student" / "kd-seed0" / "manifest.json").unlink()


def _change_weights(run: Path) -> None:
    weights = run / "student" / "diito-seed0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")


def _lose_card(run: Path) -> None:
    (run / "student" / "diito-seed0" / "README.md").unlink()


def _change_alignment(run: Path) -> None:
    text = (run / "alignment.yaml").read_text()
    (run / "alignment.yaml").write_text(text.replace("name: quantifiers", "name: others"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_lose_report, r"is unfinished: report.json is missing"),
        (_lose_student, r"is unfinished: .*kd-seed0 is missing"),
        (_change_weights, r"diito-seed0 is not as the run wrote it: the contents of model.safetensors"),
        (_lose_card, r"README.md is missing; `causalkd verify"),
        (_change_alignment, r"report.json was made with another alignment than alignment.yaml"),
    ],
)
def test_what_is_not_whole_is_refused_before_anything_is_sent(run: Path, change: Any, said: str) -> None:
    change(run)
    hub = Hub()
    with pytest.raises(ValueError, match=said):
        push(run, "me/student", student="diito", api=hub)
    assert not hub.calls


def test_a_name_that_no_repository_has_is_refused(run: Path) -> None:
    with pytest.raises(ValueError, match="'a/b/c' cannot be a repository of the hub"):
        push(run, "a/b/c", student="kd", api=Hub())


def test_a_hub_that_cannot_be_reached_is_a_fault_of_the_machine(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise httpx2.ConnectError("no route")

    hub = Hub(private=True)
    monkeypatch.setattr(hub, "create_commit", refused)
    with pytest.raises(OSError, match="the hub did not take me/student: no route"):
        push(run, "me/student", student="kd", api=hub)
