import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.verification.interventions.norm_matched import norm_matched_sources
from tests.held_out import pairs_of, teacher_and_student

COLUMNS = torch.arange(4, 12)


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    batch = pairs_of(teacher, student)[1][0]
    return teacher, batch, batch.positions["middle"]


def _moves(setting, columns, seed=0):
    """How the intervention and its random counterpart move each position, and what the latter changed elsewhere."""
    model, batch, positions = setting
    site = ResolvedSite(model.hook_point("block_output", 1), columns)
    base = model.run(batch.inputs, hook_points_needed(model, [site]))
    source_activations = model.read(batch.source, [site.hook_point])
    sites, given, at = norm_matched_sources([site], base, source_activations, positions, seed)
    assert [(s.hook_point, s.columns) for s in sites] == [(site.hook_point, None)] and at.base.equal(at.source)
    row = torch.arange(len(at.valid))[:, None].expand_as(at.valid)[at.valid]
    before, after = (each.activations[site.hook_point] for each in (base, given))
    real = (
        source_activations.activations[site.hook_point][row, positions.source[at.valid]]
        - before[row, at.base[at.valid]]
    )
    if columns is not None:
        kept = torch.zeros(real.shape[1])
        kept[columns] = 1
        real = real * kept
    untouched = torch.ones(before.shape[:2], dtype=torch.bool)
    untouched[row, at.base[at.valid]] = False
    assert after[untouched].equal(before[untouched])
    return real, (after - before)[row, at.base[at.valid]]


@pytest.mark.parametrize("columns", [None, COLUMNS])
def test_moves_as_far_as_the_intervention_in_another_direction(setting, columns):
    real, move = _moves(setting, columns)
    torch.testing.assert_close(move.norm(dim=1), real.norm(dim=1), rtol=1e-4, atol=1e-5)
    assert torch.cosine_similarity(real, move).mean().abs() < 0.7
    assert not _moves(setting, columns, seed=9)[1].allclose(move)


def test_columns_move_inside_a_subspace_of_as_many_dimensions(setting):
    assert torch.linalg.matrix_rank(_moves(setting, COLUMNS)[1], rtol=1e-4) == len(COLUMNS)
    assert torch.linalg.matrix_rank(_moves(setting, None)[1], rtol=1e-4) > len(COLUMNS)


def test_a_source_equal_to_base_moves_nothing(setting):
    model, batch, positions = setting
    site = ResolvedSite(model.hook_point("block_output", 0))
    base = model.run(batch.inputs, [site.hook_point])
    same = type(positions)(positions.base, positions.base, positions.valid)
    _, given, _ = norm_matched_sources([site], base, base.source_activations(), same, 0)
    assert given.activations[site.hook_point].equal(base.activations[site.hook_point])


def test_two_names_of_one_tensor_are_written_once(setting):
    """Both parts move: written under two names, the second would have replaced the first."""
    model, batch, positions = setting
    parts = [
        ResolvedSite(model.hook_point("block_output", 0), torch.arange(4)),
        ResolvedSite(model.hook_point("block_input", 1), torch.arange(4, 8)),
    ]
    one_name = [ResolvedSite(parts[0].hook_point, part.columns) for part in parts]
    base = model.run(batch.inputs, hook_points_needed(model, parts))
    given = model.read(batch.source, [part.hook_point for part in parts])
    sites, moved, _ = norm_matched_sources(parts, base, given, positions, seed=0)
    (expected,) = norm_matched_sources(one_name, base, given, positions, seed=0)[1].activations.values()
    assert [site.hook_point for site in sites] == [parts[0].hook_point]
    assert moved.activations[parts[0].hook_point].equal(expected)


@pytest.mark.parametrize(
    "columns", [[(0, 16), (16, 24)], [(0, 30), (30, 32)], [(0, 4), (8, 12), (20, 24)], [(0, 8), (4, 12)]]
)
def test_parts_of_one_tensor_move_it_together_as_far_as_the_intervention(setting, columns):
    model, batch, positions = setting
    hook_point = model.hook_point("block_output", 1)
    parts = [ResolvedSite(hook_point, torch.arange(*ends)) for ends in columns]
    whole = ResolvedSite(hook_point, torch.cat([part.columns for part in parts]).unique())
    base, given = model.run(batch.inputs, [hook_point]), model.read(batch.source, [hook_point])
    row = torch.arange(len(positions.valid))[:, None].expand_as(positions.valid)[positions.valid]
    before = base.activations[hook_point][row, positions.base[positions.valid]]
    source = given.activations[hook_point][row, positions.source[positions.valid]]
    wanted = (whole.put(before, whole.take(source)) - before).norm(dim=1)
    after = norm_matched_sources(parts, base, given, positions, 0)[1].activations[hook_point]
    move = after[row, positions.base[positions.valid]] - before
    torch.testing.assert_close(move.norm(dim=1), wanted, rtol=1e-5, atol=1e-6)
