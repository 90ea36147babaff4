import hashlib
import os
from pathlib import Path

from causalkd.files.digests import file_digest, files_digest


def test_contents_count_and_neither_names_nor_times(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"the fox")
    other.write_bytes(b"the cat")
    os.utime(one, (0, 0))
    assert file_digest(one) == hashlib.sha256(b"the fox").hexdigest()
    both = files_digest([one, other])
    assert both != files_digest([other, one]) and files_digest([one]) != file_digest(one)
    one.rename(tmp_path / "c")
    assert files_digest([tmp_path / "c", other]) == both
