import pytest

from mhealth.core import replacing, write_file
from mhealth.errors import UnwritableOutputError


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stands_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutputError, match=r"file/x\.txt cannot be written"):
        write_file(tmp_path / "file" / "x.txt", b"")
    with pytest.raises(UnwritableOutputError, match="cannot be written"):
        write_file(tmp_path, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"file"}
    assert not list(tmp_path.parent.glob(".*.part"))
