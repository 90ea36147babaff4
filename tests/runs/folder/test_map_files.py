from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.map_files import check_maps, first_maps, load_maps, replace_maps
from tests.example_maps import example_maps


def test_maps_come_back_in_the_order_of_layers(tmp_path: Path) -> None:
    folder, maps = RunFolder(tmp_path), example_maps(layers=11, texts=2, views=1)
    replace_maps(folder, {"earlier": maps[:1]})
    replace_maps(folder, {"kd-seed0": maps, "teacher": maps[:2]})
    found = load_maps(tmp_path, "kd-seed0")
    assert [each.made.hook_point for each in found] == [each.made.hook_point for each in maps]
    assert all(torch.equal(one.scores, other.scores) for one, other in zip(found, maps, strict=True))
    assert {name: each.made.hook_point for name, each in first_maps(folder).items()} == {
        "kd-seed0": "blocks.0.hook_in", "teacher": "blocks.0.hook_in",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"no attribution maps of 'kd' in .*; there are those of kd-seed0, teacher"):
        load_maps(tmp_path, "kd")


def test_earlier_maps_stay_until_the_new_ones_are_written(tmp_path: Path) -> None:
    folder, maps = RunFolder(tmp_path), example_maps(layers=2, texts=2, views=1)
    replace_maps(folder, {"teacher": maps}, "{}")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(maps[0]), "save", killed)
        replace_maps(folder, {"kd-seed0": maps}, "[]")
    assert len(load_maps(tmp_path, "teacher")) == len(maps) and folder.attribution_results.read_text() == "{}"
    replace_maps(folder, {"kd-seed0": maps})
    assert [entry.name for entry in tmp_path.iterdir()] == ["attributions"]
    assert sorted(entry.name for entry in folder.attributions.iterdir()) == ["kd-seed0", "manifest.json"]


@pytest.mark.parametrize("name", ["teacher/layer0.safetensors", "teacher/layer1.safetensors", "results.json"])
@pytest.mark.parametrize("read", [first_maps, check_maps, lambda folder: load_maps(folder.path, "teacher")])
def test_a_file_that_was_changed_is_refused(tmp_path: Path, name: str, read: Callable[[RunFolder], object]) -> None:
    folder = RunFolder(tmp_path)
    replace_maps(folder, {"teacher": example_maps(layers=2, texts=2, views=1)}, "{}")
    read(folder)
    file = folder.attributions / name
    file.write_bytes(file.read_bytes()[:-1] + b"]")
    with pytest.raises(ValueError, match=r"are not as they were written: the contents of .*; call `causalkd attribute"):
        read(folder)


def test_a_run_without_maps(tmp_path: Path) -> None:
    assert first_maps(RunFolder(tmp_path)) == {}
    with pytest.raises(ValueError, match="there are those of none; `causalkd attribute RUN` makes them"):
        load_maps(tmp_path, "teacher")
