"""A run's record is known from a file that has only its name."""

from pathlib import Path

from causalkd.files.records import is_record


def test_a_record_has_its_keys(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    assert not is_record(file)
    for text, found in (("[]", False), ("{", False), ('{"train": 1, "heldout": 1, "recipe": 1}', True)):
        file.write_text(text)
        assert is_record(file) == found
