from dataclasses import replace

import torch
from transformer_lens.tools.analysis.interchange import SubspaceInterchange, random_basis

from causalkd.alignment.resolved_site import ResolvedSite
from tests.alignment.interventions import hooked

PLACE = hooked().hook_point("block_output", 1)
BASE, SOURCE = (torch.randn(3, 5, PLACE.width, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))


def test_a_whole_hook_point_is_taken_and_put_whole() -> None:
    site = ResolvedSite(PLACE)
    assert site.is_whole and site.count == PLACE.width
    assert site.take(SOURCE) is SOURCE and site.put(BASE, SOURCE) is SOURCE


def test_columns_are_taken_in_their_order_and_put_back_there() -> None:
    site = ResolvedSite(PLACE, torch.tensor([4, 1]))
    assert site.take(SOURCE).equal(SOURCE[..., [4, 1]]) and site.count == 2 and not site.is_whole
    changed = site.put(BASE, site.take(SOURCE))
    assert changed[..., [4, 1]].equal(SOURCE[..., [4, 1]])
    rest = [column for column in range(PLACE.width) if column not in (1, 4)]
    assert changed[..., rest].equal(BASE[..., rest])


def test_directions_are_replaced_as_transformer_lens_does() -> None:
    basis = random_basis(PLACE.width, 3, 0)
    site = ResolvedSite(PLACE, basis=basis)
    assert site.count == 3 and not site.is_whole
    expected = SubspaceInterchange(basis)(BASE.flatten(0, 1), SOURCE.flatten(0, 1)).unflatten(0, BASE.shape[:2])
    torch.testing.assert_close(site.put(BASE, site.take(SOURCE)), expected, rtol=0, atol=1e-5)


def test_directions_of_float32_keep_their_precision_under_autocast() -> None:
    site = ResolvedSite(PLACE, basis=random_basis(PLACE.width, 3, 0))
    expected = site.put(BASE, site.take(SOURCE))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert site.put(BASE, site.take(SOURCE)).equal(expected)


def test_half_precision_stays_half_precision() -> None:
    for site in (ResolvedSite(PLACE, basis=random_basis(PLACE.width, 3, 0)), ResolvedSite(PLACE, torch.tensor([1]))):
        base, source = BASE.bfloat16(), SOURCE.bfloat16()
        assert site.put(base, site.take(source)).dtype == torch.bfloat16


def test_sites_are_one_where_all_of_them_is_equal() -> None:
    basis = random_basis(PLACE.width, 3, 0)
    sites = [
        lambda: ResolvedSite(PLACE),
        lambda: ResolvedSite(PLACE, torch.tensor([4, 1])),
        lambda: ResolvedSite(PLACE, torch.tensor([1, 4])),
        lambda: ResolvedSite(PLACE, basis=basis),
        lambda: ResolvedSite(PLACE, basis=basis.nextafter(torch.tensor(2.0))),
        lambda: ResolvedSite(PLACE, source=ResolvedSite(replace(PLACE, name="other"))),
    ]
    assert len({make().identity for make in sites}) == len(sites)
    assert all(make().identity == make().identity for make in sites)
