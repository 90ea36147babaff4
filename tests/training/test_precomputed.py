"""Shards give back what was put in, from the disk, and what is damaged is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from causalkd.training.precomputed import Shards, read_index, write_index

ROWS = {bytes([number]) * 32: {"logits": torch.randn(3), "of/items": torch.arange(number)} for number in range(1, 8)}


def _fill(folder: Path) -> None:
    shards = Shards(folder, shard_bytes=500)
    for key, row in ROWS.items():
        shards[key] = save(row)
    shards.flush()


def test_what_is_written_is_read_memory_mapped_and_more_can_be_added(tmp_path: Path) -> None:
    _fill(tmp_path)
    assert len(list(tmp_path.glob("outputs-0-*.safetensors"))) > 1
    shards = Shards(tmp_path, process=1)
    assert set(shards) == set(ROWS) and len(shards) == len(ROWS)
    for key, row in ROWS.items():
        found = load(shards[key])
        assert found.keys() == row.keys() and all(torch.equal(found[name], row[name]) for name in row)
    assert shards.get(b"x" * 32) is None
    shards[b"x" * 32] = save({"logits": torch.ones(1)})
    assert load(shards[b"x" * 32])["logits"] == 1 and Shards(tmp_path).get(b"x" * 32) is None
    shards.flush()
    assert (tmp_path / "outputs-1-00000.safetensors").is_file() and len(Shards(tmp_path)) == len(ROWS) + 1


def test_after_a_shard_is_deleted_the_others_stay_as_they_are(tmp_path: Path) -> None:
    _fill(tmp_path)
    first, *others = sorted(tmp_path.glob("*.safetensors"))
    before = {path: path.read_bytes() for path in others}
    first.unlink()
    assert 0 < len(Shards(tmp_path)) < len(ROWS)
    shards = Shards(tmp_path)
    for key, row in ROWS.items():
        shards.setdefault(key, save(row))
    shards.flush()
    assert {path: path.read_bytes() for path in others} == before
    assert set(Shards(tmp_path)) == set(ROWS)
    assert all(torch.equal(load(shards[key])["logits"], row["logits"]) for key, row in ROWS.items())


def test_a_write_that_fails_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("causalkd.training.precomputed.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        _fill(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_unfinished_or_damaged_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path)
    with pytest.raises(ValueError, match=r"no precomputed outputs that are finished \(no index.json\)"):
        read_index(tmp_path)
    write_index(tmp_path, teacher="00", top_k=None)
    assert read_index(tmp_path)["teacher"] == "00"
    shard = next(tmp_path.glob("*.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"has \d+ bytes, and \d+ were written; put the file back"):
        read_index(tmp_path)
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"the contents of outputs-.* are not what was written; put the file back"):
        read_index(tmp_path)
    shard.write_bytes(b"short")
    with pytest.raises(ValueError, match=r"cannot be read: .*delete this file and call"):
        Shards(tmp_path)
    (tmp_path / "index.json").write_text('{"shards": 3}')
    with pytest.raises(ValueError, match=r"index\.json cannot be read: .*precompute` again"):
        read_index(tmp_path)
