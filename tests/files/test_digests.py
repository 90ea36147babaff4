import hashlib
import os
import time
from pathlib import Path

import pytest

from causalkd.files.digests import file_digest, files_digest, files_digest_once


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


def test_a_file_is_read_once_until_it_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, now = tmp_path / "a", time.time()
    file.write_bytes(b"the fox")
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert files_digest_once([file]) == files_digest([file])
    monkeypatch.setattr("causalkd.files.digests.file_digest", lambda path: "read again")
    assert files_digest_once([file]) != hashlib.sha256(b"read again").hexdigest()
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_bytes(b"the cat")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as copies keep it
    assert files_digest_once([file]) == hashlib.sha256(b"read again").hexdigest()


def test_a_file_that_was_just_written_is_always_read(tmp_path: Path) -> None:
    file, found = tmp_path / "a", set()
    for number in range(50):  # several within one tick of the clock
        file.write_bytes(b"%02d" % number)
        found.add(files_digest_once([file]))
    assert len(found) == 50
