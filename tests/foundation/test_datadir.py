import stat
from pathlib import Path

import pytest

from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory, write_private
from commonview.foundation.errors import StartupError


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_are_the_owners_alone(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "deep" / "data")
    directory.prepare()
    assert [_mode(path) for path in (directory.root, directory.keys, directory.audit)] == [0o700] * 3


def test_nobody_else_reads_the_database_even_in_a_folder_open_to_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    directory = DataDirectory(tmp_path)
    directory.prepare()
    db = Database.at(directory.database)
    migrate(db)
    files = sorted(tmp_path.glob("commonview.sqlite*"))
    assert [path.name for path in files] == [
        "commonview.sqlite",
        "commonview.sqlite-shm",
        "commonview.sqlite-wal",
    ]
    assert {_mode(path) for path in files} == {0o600}
    for path in files:
        path.chmod(0o644)
    directory.prepare()
    assert {_mode(path) for path in files} == {0o600}
    db.close()


def test_two_servers_cannot_share_a_directory(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
    first.lock()
    with pytest.raises(StartupError, match="another Commonview server") as caught:
        second.lock()
    assert caught.value.code == "data_dir_in_use"
    first.unlock()
    second.lock()
    second.unlock()


def test_the_instance_id_is_made_once_and_kept(tmp_path: Path) -> None:
    assert DataDirectory(tmp_path).instance_id() == DataDirectory(tmp_path).instance_id()


def test_a_directory_that_cannot_be_made_is_told_with_the_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartupError, match="--data-dir") as caught:
        DataDirectory(tmp_path / "file" / "data").prepare()
    assert caught.value.code == "data_dir_unusable"


def test_a_private_file_is_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    write_private(path, b"new")
    assert (path.read_bytes(), _mode(path)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
