"""Whatever a library raises about a file is one ValueError that names it; faults of the machine stay what they are."""

from pathlib import Path

import pytest
import torch

from causalkd.files.refusals import json_fault, refused


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("foo"), "the file x: KeyError: 'foo'; mend it"),
        (ValueError("two\nlines. "), "the file x: two lines; mend it"),
        (Exception("of a library written in Rust"), "the file x: Exception: of a library written in Rust; mend it"),
        (RecursionError(), "the file x: RecursionError: ; mend it"),
        (OSError("not there"), "the file x: not there; mend it"),
        (AttributeError("x" * 400), f"the file x: AttributeError: {'x' * 284}…; mend it"),
    ],
)
def test_every_kind_of_error_is_one_line_with_the_file_and_the_way_out(error: Exception, told: str) -> None:
    with pytest.raises(ValueError) as caught, refused("the file x", "mend it"):
        raise error
    assert str(caught.value) == told
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt(), FileExistsError()]
)
def test_what_is_not_the_files_fault_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), refused("the file x", "mend it", passing=(FileExistsError,)):
        raise error


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is no JSON (Expecting property name"),
        ("[]", "holds list, not keys with values"),
        ("null", "holds NoneType, not keys with values"),
        ("[" * 100_000, "is no JSON (RecursionError"),
        ("", "is no JSON (Expecting value"),
    ],
)
def test_a_file_that_is_no_mapping_is_described(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert fault in str(json_fault(tmp_path / "x.json"))
    assert str(tmp_path / "x.json") in str(json_fault(tmp_path / "x.json"))


def test_a_mapping_and_no_file_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert json_fault(tmp_path / "x.json") is None and json_fault(tmp_path / "none.json") is None
