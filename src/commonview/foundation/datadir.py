"""The one directory an instance owns, and the lock that keeps a second server out of it."""

import fcntl
import os
import secrets
import stat
from pathlib import Path

from commonview.foundation.errors import StartupError
from commonview.foundation.ids import new_id


class DataDirectory:
    """Paths under `data_dir`. Directories are made 0700, files that hold secrets 0600; so is the database.

    Layout: `commonview.sqlite`, `instance-id`, `keys/instance.key`, `keys/audit-signing.key`,
    `keys/device-enrolment.password`, `audit/`, `setup-link`, `lock`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "commonview.sqlite"
        self.keys = root / "keys"
        self.instance_key = self.keys / "instance.key"
        self.audit_signing_key = self.keys / "audit-signing.key"
        self.enrolment_password = self.keys / "device-enrolment.password"
        self.audit = root / "audit"
        self.setup_link = root / "setup-link"
        self._instance_id = root / "instance-id"
        self._lock_file = root / "lock"
        self._lock: int | None = None

    def prepare(self) -> None:
        """Create what is absent; take the database from everybody but its owner.

        Raises:
            StartupError: a directory cannot be created or written.
        """
        try:
            for directory in (self.root, self.keys, self.audit):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(directory, os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", str(directory))
            self._own_database()
        except OSError as error:
            raise StartupError(
                f"the data directory {self.root} cannot be used ({error.strerror}: {error.filename}); "
                "change data_dir (--data-dir, COMMONVIEW_DATA_DIR) or the rights of that folder",
                code="data_dir_unusable",
            ) from None

    def _own_database(self) -> None:
        # The folder may have been there before, open to all. SQLite gives its write-ahead log the mode of the
        # database; what an earlier start left behind is corrected here.
        # Never opened once it is there: closing a file takes this process's SQLite locks on it away.
        if not self.database.exists():
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for path in (self.database, *(Path(f"{self.database}{end}") for end in ("-wal", "-shm"))):
            if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o600)

    def lock(self) -> None:
        """Take the directory for this process until it ends.

        Raises:
            StartupError: another server runs on it.
        """
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StartupError(
                f"another Commonview server already runs on the data directory {self.root}; "
                "stop it, or give this one its own data_dir (--data-dir, COMMONVIEW_DATA_DIR)",
                code="data_dir_in_use",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def unlock(self) -> None:
        """Give the directory back; harmless when it was not taken."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def instance_id(self) -> str:
        """The id of this instance, made on first use and kept."""
        try:
            return self._instance_id.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            made = new_id()
            write_private(self._instance_id, (made + "\n").encode())
            return made


def write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner can read, whole or not at all, durable on return."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
