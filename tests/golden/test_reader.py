"""The reading of golden cases: variable names, columns as the release writes them, nothing skipped in silence."""

import json
from pathlib import Path

import pytest

from tests.golden import reader
from tests.golden.reader import Sides, Variable
from tests.golden.test_diito import test_case as run_case


def test_variable_names() -> None:
    assert reader.expand("$L:2$H:1$[0:8]") == (Variable(2, 1, 0, 8),)
    assert [(v.layer, v.head) for v in reader.expand("$L:[0:2]$H:[2:4]$[0:8]")] == [(0, 2), (0, 3), (1, 2), (1, 3)]
    with pytest.raises(AssertionError, match="unknown variable name"):
        reader.expand("$L:2$[0:8]")


def test_columns_as_the_release_writes_them() -> None:
    model = reader.load("diito_models_m0", "teacher")

    def of(variable: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        (site,) = reader.sites(model, Sides(reader.expand(variable), reader.expand(variable)))
        assert site.subspace_partition and site.source and site.source.subspace_partition
        assert (site.component, site.source.component) == ("block_output", "block_input")
        return site.subspace_partition[0], site.source.subspace_partition[0]

    assert of("$L:1$H:1$[0:8]") == ((8, 16), (8, 16))
    assert of("$L:1$H:1$[2:6]") == ((10, 16), (10, 14))
    assert of("$L:1$H:3$[4:8]") == ((28, 32), (28, 32))
    wide = Sides(*[reader.expand("$L:1$H:1$[2:3]")] * 2)
    assert reader.is_broadcast(model, wide)
    (site,) = reader.broadcast(model, wide)
    assert site.columns is not None and site.source is not None and site.source.columns is not None
    assert (site.columns.tolist(), site.source.columns.tolist()) == ([10, 11, 12], [10, 10, 10])


def test_the_variant_reads_where_it_writes() -> None:
    model = reader.load("diito_models_m0", "student")
    (site,) = reader.sites(model, Sides(reader.expand("$L:1$H:0$[0:8]"), reader.expand("$L:2$H:0$[0:8]")))
    assert (site.layer, site.source) == (1, None)


def test_an_unknown_kind_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "diito_new.json").write_text(json.dumps({"case": "diito_new"}), encoding="utf-8")
    monkeypatch.setattr(reader, "FOLDER", tmp_path)
    assert reader.case_names() == ["diito_new"]
    with pytest.raises(pytest.fail.Exception, match=r"diito_new\.json is of no known kind"):
        run_case("diito_new", tmp_path)
    monkeypatch.setattr(reader, "FOLDER", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="CAUSALKD_GOLDEN"):
        reader.case_names()
