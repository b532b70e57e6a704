"""A disk in memory that loses its power: what was synced stays, what was only written is anyone's guess.

It is an apsw VFS. Between a write and the next sync of its file a real disk may have stored the write, lost
it, or stored some of its sectors; and a name that was made or removed may be back as it was until the
folder is synced. `Disk` keeps both states apart, and dice say what is left after a cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from random import Random

import apsw

SECTOR = 512
# The folder is synced with the first sync of these, as SQLite's own VFS for Unix does it.
_FOLDER_SYNCED_WITH = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
# What SQLite's own VFS says of a disk: a cut leaves the bytes beside a write as they were.
_CHARACTERISTICS = apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


class Moment(Enum):
    """When the power goes: the change of a file is done or not, the sync is done or not."""

    AFTER_CHANGE = "after a change"
    BEFORE_SYNC = "before a sync"
    AFTER_SYNC = "after a sync"


class _Write:
    def __init__(self, offset: int, data: bytes) -> None:
        self._offset = offset
        self._data = data

    def apply(self, content: bytearray) -> None:
        _put(content, self._offset, self._data)

    def apply_by_chance(self, content: bytearray, dice: Random) -> None:
        """Kept, lost or torn."""
        share = dice.choice((1.0, 0.0, 0.5))
        for offset, part in _sectors(self._offset, self._data):
            if dice.random() < share:
                _put(content, offset, part)


class _Truncation:
    def __init__(self, size: int) -> None:
        self._size = size

    def apply(self, content: bytearray) -> None:
        del content[self._size :]

    def apply_by_chance(self, content: bytearray, dice: Random) -> None:
        if dice.random() < 0.5:
            self.apply(content)


class _File:
    """What programs see, what the disk has for certain, and the changes that lie between."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self._certain = bytearray(content)
        self._unsynced: list[_Write | _Truncation] = []

    def change(self, change: _Write | _Truncation) -> None:
        change.apply(self.seen)
        self._unsynced.append(change)

    def sync(self) -> None:
        for change in self._unsynced:
            change.apply(self._certain)
        self._unsynced.clear()

    def lose_power(self, dice: Random) -> None:
        for change in self._unsynced:
            change.apply_by_chance(self._certain, dice)
        self._unsynced.clear()
        self.seen = bytearray(self._certain)


_Folder = dict[str, _File]


class Disk(apsw.VFS):
    """Use `name` as the vfs of a connection. Its files are only here; `image` is what they start as."""

    def __init__(self, name: str, image: dict[str, bytes] | None = None) -> None:
        self.name = name
        self.is_off = False
        self.boots = 0
        self._seen: _Folder = {path: _File(content) for path, content in (image or {}).items()}
        self._certain: _Folder = dict(self._seen)
        self._cut_at: Moment | None = None
        self._countdown = 0
        super().__init__(name, "")

    # -- what tests do with it

    @property
    def image(self) -> dict[str, bytes]:
        return {path: bytes(file.seen) for path, file in self._seen.items()}

    def switch_off(self) -> None:
        """From now on everything fails. Alone it is what kill -9 does: what was written is there again."""
        self.is_off = True

    def keep_on(self) -> None:
        """Take the end back that was to come."""
        self._cut_at = None

    def switch_off_at(self, moment: Moment, count: int) -> None:
        """At the count-th such moment from now: 1 is the next."""
        self._cut_at, self._countdown = moment, count

    def lose_power(self, dice: Random) -> None:
        self.switch_off()
        for file in {*self._seen.values(), *self._certain.values()}:
            file.lose_power(dice)
        changed = [path for path in self._paths() if self._seen.get(path) is not self._certain.get(path)]
        left = dict(self._certain)
        for path in changed:
            if dice.random() < 0.5:
                _set_entry(left, path, self._seen.get(path))
        self._seen, self._certain = left, dict(left)

    def switch_on(self) -> None:
        """Handles from before stay dead."""
        self.is_off, self._cut_at = False, None
        self.boots += 1

    # -- what handles tell it

    def reach(self, moment: Moment) -> None:
        if moment is not self._cut_at:
            return
        self._countdown -= 1
        if self._countdown == 0:
            self.switch_off()

    def check_power(self, boot: int | None = None) -> None:
        if self.is_off or boot not in (None, self.boots):
            raise apsw.IOError("the power is gone")

    def sync_folder(self) -> None:
        self._certain = dict(self._seen)

    def sync(self) -> None:
        """All of it."""
        for file in self._seen.values():
            file.sync()
        self.sync_folder()

    def _paths(self) -> list[str]:
        """In an order that does not change from run to run."""
        return sorted({*self._seen, *self._certain})

    # -- what SQLite asks of it

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        self.check_power()
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        file = self._seen.setdefault(path, _File())
        flags[1] = flags[0]
        return _Handle(self, file, syncs_folder=bool(flags[0] & _FOLDER_SYNCED_WITH))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.check_power()
        self._seen.pop(filename, None)
        if syncdir:
            self.sync_folder()
        self.reach(Moment.AFTER_CHANGE)

    def xAccess(self, pathname: str, _flags: int) -> bool:  # noqa: N802
        self.check_power()
        return pathname in self._seen

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class _Handle(apsw.VFSFile):
    """An open file, until the power goes. Locks are not needed: one connection, in exclusive mode."""

    def __init__(self, disk: Disk, file: _File, *, syncs_folder: bool) -> None:
        self._disk = disk
        self._file = file
        self._boot = disk.boots
        self._syncs_folder = syncs_folder

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.check_power(self._boot)
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._change(_Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._change(_Truncation(newsize))

    def xSync(self, _flags: int) -> None:  # noqa: N802
        self._disk.check_power(self._boot)
        self._disk.reach(Moment.BEFORE_SYNC)
        self._disk.check_power(self._boot)
        self._file.sync()
        if self._syncs_folder:
            self._disk.sync_folder()
            self._syncs_folder = False
        self._disk.reach(Moment.AFTER_SYNC)

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.check_power(self._boot)
        return len(self._file.seen)

    def xLock(self, _level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, _op: int, _pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return _CHARACTERISTICS

    def xClose(self) -> None:  # noqa: N802
        pass

    def _change(self, change: _Write | _Truncation) -> None:
        self._disk.check_power(self._boot)
        self._file.change(change)
        self._disk.reach(Moment.AFTER_CHANGE)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    """A gap before it reads as zeros."""
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The write, cut where the disk's sectors end."""
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
        yield offset + start, data[start:end]
        start = end


def _set_entry(folder: _Folder, path: str, file: _File | None) -> None:
    if file is None:
        folder.pop(path, None)
    else:
        folder[path] = file
