import shutil
from pathlib import Path

import pytest
import torch

from causalkd.alignment.spec import Alignment
from causalkd.runs import search as module
from causalkd.runs.distill import distill
from causalkd.runs.search import search_run
from causalkd.verification.search.search import Search
from causalkd.verification.statistics.evidence import is_above
from tests.shrunk import FinishedRun, shrunk


@pytest.fixture(scope="module")
def copied(quickstart: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(quickstart.folder.path, tmp_path_factory.mktemp("search") / "run"))


def test_a_student_of_a_run_is_searched_and_the_file_holds_what_is_supported(copied: Path) -> None:
    found = search_run(copied, student="diito")
    # The last block is not read at the positions of this run.
    assert [proposal.student_layer for proposal in found.proposals] in ([0], [])
    for proposal in found.proposals:
        assert proposal.heldout.pairs == 40 and proposal.supported == is_above(proposal.heldout, proposal.baselines)
    supported = [proposal for proposal in found.proposals if proposal.supported]
    assert (copied / "found_alignment.yaml").is_file() == bool(supported)
    if supported:
        assert Alignment.from_yaml(copied / "found_alignment.yaml") == found.alignment()
    assert found.policy == Alignment.from_yaml(copied / "alignment.yaml").positions


def test_learned_directions_are_an_alignment_that_a_student_trains_with(copied: Path, tmp_path: Path) -> None:
    found = search_run(copied, student="diito", rank=2)
    assert (copied / "found_alignment.yaml").is_file() == any(proposal.supported for proposal in found.proposals)
    # A shrunk run supports nothing, so the proposals are taken as they come.
    pairs = tuple(proposal.pair(found.component) for proposal in found.proposals)
    assert pairs and all(pair.student[0].basis is not None for pair in pairs)
    alignment = Alignment(name="learned", positions=found.policy, pairs=pairs)
    (tmp_path / "learned.yaml").write_text(alignment.to_yaml())
    report = distill(shrunk("quickstart", tmp_path / "run", f"alignment={tmp_path / 'learned.yaml'}"))
    own = [row for row in report.interchange if row.pair == pairs[0].name and row.baseline == "measured"]
    assert own and all(row.aligned for row in own)


def test_the_pairs_are_those_that_the_recipe_selects(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, seen = copied / "recipe.yaml", []
    told = recipe.read_text()
    recipe.write_text(told.replace("pair_selection: uniform", "pair_selection: both_right"))
    monkeypatch.setattr(module, "rightly_answered", lambda run: torch.arange(len(run.data.heldout.examples)) % 3 == 1)

    def spy(teacher, student, policy, *both, **options):
        seen.extend({int(n) for batch in batches for n in batch.index} for batches in both)
        return Search((), options["component"], policy, torch.zeros(0, 0))

    monkeypatch.setattr(module, "search", spy)
    search_run(copied)
    recipe.write_text(told)
    assert all(numbers and all(number % 3 == 1 for number in numbers) for numbers in seen) and len(seen) == 2


def test_what_is_not_in_the_run_is_refused(copied: Path) -> None:
    with pytest.raises(ValueError, match="rank 0 given"):
        search_run(copied, rank=0)
    with pytest.raises(ValueError, match="student 'ditto' is not in this run; did you mean diito"):
        search_run(copied, student="ditto")
    with pytest.raises(ValueError, match=r"seed 7 is not in this run; its seeds are \[0\]"):
        search_run(copied, seed=7)


def test_the_file_of_an_earlier_search_stays_until_the_next_one_has_ended(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Search:
        raise KeyboardInterrupt

    (copied / "found_alignment.yaml").write_text("an earlier one")
    monkeypatch.setattr(module, "search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search_run(copied, student="diito")
    assert (copied / "found_alignment.yaml").read_text() == "an earlier one"
