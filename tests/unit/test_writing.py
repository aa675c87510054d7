"""Writing a document into a file: whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from chatanywhere_magic.magics.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
LONG = "word " * 100_000


@pytest.fixture
def no_room() -> Iterator[None]:
    """Let no file of this process grow beyond a few blocks, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def not_root() -> Iterator[Path]:
    """Be somebody without privileges, who has a directory; return it."""
    if os.name != "posix":
        pytest.skip("other systems have other rights")
    directory = Path(tempfile.mkdtemp())
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(directory, NOBODY, NOBODY)
        groups = os.getgroups()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, 0)
        os.setresuid(NOBODY, NOBODY, 0)
    yield directory
    if was_root:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)
    directory.chmod(0o700)
    shutil.rmtree(directory)


class Unmovable(type(Path())):  # the class of this system's paths
    """A path from which no file can be moved, and why."""

    reason = errno.EIO

    def replace(self, target: Any) -> Any:
        raise OSError(self.reason, os.strerror(self.reason), str(target))


class Mounted(Unmovable):
    """A path below which the files are mounted."""

    reason = errno.EBUSY


class Watched(type(Path())):
    """A path whose files tell who might read them when they are written."""

    rights: ClassVar[list[int]] = []

    def open(self, *args: Any, **kwargs: Any) -> Any:
        if self.exists():
            self.rights.append(stat.S_IMODE(self.stat().st_mode))
        return super().open(*args, **kwargs)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.usefixtures("no_room")
def test_a_disk_that_fills_up_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "talk.md"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(OSError, match="large"):
        write_whole(path, LONG, replace=True)
    assert path.read_text(encoding="utf-8") == "before"
    assert names(tmp_path) == ["talk.md"]


@pytest.mark.usefixtures("no_room")
def test_of_a_new_file_no_half_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="large"):
        write_whole(tmp_path / "talk.md", LONG)
    assert names(tmp_path) == []


def test_what_was_private_is_so_from_the_first_word_on(tmp_path: Path) -> None:
    path = Watched(tmp_path / "talk.md")
    path.write_text("before", encoding="utf-8")
    path.chmod(0o600)
    Watched.rights.clear()
    write_whole(path, "after", replace=True)
    assert Watched.rights == [0o600]


def test_whoever_reads_the_old_file_goes_on_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "talk.md"
    path.write_text("before", encoding="utf-8")
    with path.open(encoding="utf-8") as reader:
        write_whole(path, LONG, replace=True)
        assert reader.read() == "before"
    assert path.read_text(encoding="utf-8") == LONG


@pytest.mark.parametrize("target", ["a file", "a link", "a link to nothing"])
def test_what_is_there_stays_unless_it_may_go(tmp_path: Path, target: str) -> None:
    path, other = tmp_path / "talk.md", tmp_path / "other.md"
    if target == "a file":
        path.write_text("before", encoding="utf-8")
    else:
        path.symlink_to(other.name)
    if target == "a link":
        other.write_text("before", encoding="utf-8")
    before = names(tmp_path)
    with pytest.raises(FileExistsError):
        write_whole(path, LONG)
    assert names(tmp_path) == before
    assert target == "a link to nothing" or path.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_one_and_what_it_names_is_written(tmp_path: Path, is_there: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target, link = elsewhere / "talk.md", tmp_path / "link.md"
    if is_there:
        target.write_text("before", encoding="utf-8")
    link.symlink_to(target)
    write_whole(link, "after", replace=True)
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "after"
    assert names(elsewhere) == ["talk.md"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_keeps_its_rights(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "talk.md"
    path.touch()
    path.chmod(mode)
    write_whole(path, "after", replace=True)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
def test_a_new_file_has_the_rights_that_new_files_have_here(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "talk.md", "after")
    assert (tmp_path / "talk.md").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_that_may_not_be_written_is_not(not_root: Path) -> None:
    path = not_root / "talk.md"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(path, "after", replace=True)
    assert path.read_text(encoding="utf-8") == "before"


def test_a_file_in_a_directory_that_may_not_be_written_is_written_itself(not_root: Path) -> None:
    path = not_root / "talk.md"
    path.write_text("before, and longer", encoding="utf-8")
    not_root.chmod(0o555)
    write_whole(path, "after", replace=True)
    assert path.read_text(encoding="utf-8") == "after"
    with pytest.raises(PermissionError):
        write_whole(not_root / "new.md", "after", replace=True)


def test_a_file_whose_place_cannot_be_taken_is_written_itself(tmp_path: Path) -> None:
    path = Mounted(tmp_path / "talk.md")
    path.write_text("before, and longer", encoding="utf-8")
    write_whole(path, "after", replace=True)
    assert path.read_text(encoding="utf-8") == "after"
    assert names(tmp_path) == ["talk.md"]


def test_no_empty_file_is_left_where_a_new_one_could_not_get_its_place(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_whole(Unmovable(tmp_path / "talk.md"), "after")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make another's file")
@pytest.mark.parametrize(("owner", "group"), [(0, NOBODY), (NOBODY, 0)])
def test_the_file_of_a_colleague_stays_theirs_and_their_groups(not_root: Path, owner: int, group: int) -> None:
    path = not_root / "talk.md"
    path.write_text("before, and longer", encoding="utf-8")
    path.chmod(0o664)
    os.setresuid(0, 0, 0)
    os.chown(path, owner, group)
    os.setresuid(NOBODY, NOBODY, 0)
    write_whole(path, "after", replace=True)
    status = path.stat()
    assert path.read_text(encoding="utf-8") == "after"
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner, group, 0o664)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "after", replace=True)
    assert os.read(reader, 100) == b"after"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
