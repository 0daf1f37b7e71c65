"""Zip and tar archives unpacked as if their maker were out to do harm.

Only plain files are written, each new and inside the folder; links, devices and names that lead
elsewhere are refused, and so is more content than an archive of that size reasonably has. tarfile's
own filters do most of this only in newer Pythons, and nothing for sizes.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from fullband.corpora.download import Report, check_room
from fullband.errors import DownloadError, FullbandError, MissingFileError, OutputError

__all__ = ["unpack"]

_MOST_TIMES = 4  # audio hardly packs: lossless codecs and bzip2 reach 2
_ALLOWED_BYTES = 64 << 20  # on top of that, for small archives of text
_MOST_MEMBERS = 2_000_000
_BLOCK = 1 << 20
_LONGEST_NAME = 1 << 20  # bytes of a name, or of what else a tar says of a member beforehand
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    # What zipfile and tarfile raise besides, of headers that make no sense.
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,  # packed in a way that zipfile does not know, or nested without end
    TypeError,
    ValueError,
    struct.error,
)


def unpack(
    archive: Path,
    folder: Path,
    wanted: Callable[[str], bool] = lambda member: True,
    most_bytes: int | None = None,
    report: Report | None = None,
) -> int:
    """Unpack the wanted files of an archive and say how many they were.

    Args:
        wanted: chooses by a member's name, as the archive has it.
        most_bytes: that may come out; None is four times the archive and 64 MiB.

    Raises:
        MissingFileError: there is no such archive.
        DownloadError: it is damaged, no archive at all, or holds what is refused.
        OutputError: the files cannot be written.
    """
    if not archive.is_file():
        raise MissingFileError(f"{archive}: no such file")
    if most_bytes is None:
        most_bytes = _MOST_TIMES * archive.stat().st_size + _ALLOWED_BYTES
    writer = _Writer(archive, folder, wanted, most_bytes)
    unpack_members = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
    try:
        unpack_members(archive, writer, report or (lambda *_: None))
    except FullbandError:
        raise
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DownloadError(f"{archive}: damaged, or no archive ({reason}); delete it") from None
    return writer.files


class _Writer:
    """Puts one member after the other into the folder, and refuses what must not be there."""

    def __init__(
        self, archive: Path, folder: Path, wanted: Callable[[str], bool], most_bytes: int
    ) -> None:
        self.files = 0
        self._archive = archive
        self.folder = folder
        self._wanted = wanted
        self._left = most_bytes
        self._most = most_bytes
        self._members = 0

    def check(self, name: str, is_plain: bool, stated_bytes: int) -> PurePosixPath | None:
        """Where a member goes, relative to the folder; None if it is not wanted."""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise DownloadError(f"{self._archive}: holds more than {_MOST_MEMBERS} files")
        path = PurePosixPath(name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in name
            or "\0" in name
            or PureWindowsPath(name).drive
        ):
            raise DownloadError(f"{self._archive}: '{name}' leads out of the folder; refused")
        if not is_plain:
            raise DownloadError(f"{self._archive}: '{name}' is a link or a device; refused")
        if not path.parts or not self._wanted(name):
            return None
        if stated_bytes > self._left:
            raise self._too_much()
        return path

    def write(self, path: PurePosixPath, content: IO[bytes]) -> None:
        target = self.folder / path
        with self._own_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            out = target.open("xb")
        with out:
            while block := self._read(content):
                self._left -= len(block)
                if self._left < 0:
                    raise self._too_much()
                with self._own_errors(target):
                    out.write(block)
            with self._own_errors(target):
                out.flush()
        self.files += 1

    def _read(self, content: IO[bytes]) -> bytes:
        try:
            return content.read(_BLOCK)
        except OSError as error:  # bz2's word for damage
            raise DownloadError(f"{self._archive}: damaged ({error}); delete it") from None

    def _too_much(self) -> DownloadError:
        return DownloadError(
            f"{self._archive}: holds more than {self._most} bytes, which no archive of audio of "
            "its size does; refused"
        )

    @contextmanager
    def _own_errors(self, target: Path) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise DownloadError(f"{self._archive}: names '{target.name}' twice; refused") from None
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            reason = "the disk is full" if free < 1 << 20 else (error.strerror or "failed").lower()
            raise OutputError(f"{target}: cannot be written ({reason})") from None


def _unpack_zip(archive: Path, writer: _Writer, report: Report) -> None:
    with zipfile.ZipFile(archive) as opened:
        plan = []
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                writer.check(info.filename, kind in (0, stat.S_IFDIR), 0)
                continue
            path = writer.check(info.filename, kind in (0, stat.S_IFREG), info.file_size)
            if path is not None:
                if info.flag_bits & 1:
                    raise DownloadError(f"{archive}: '{info.filename}' needs a password; refused")
                plan.append((path, info))
        check_room(writer.folder, sum(info.file_size for _, info in plan), "what it holds")
        done, total = 0, sum(info.compress_size for _, info in plan)
        for path, info in plan:
            with opened.open(info) as content:
                writer.write(path, content)
            done += info.compress_size
            report("unpacking", done, total)


def _unpack_tar(archive: Path, writer: _Writer, report: Report) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as raw, _streamed(raw) as opened:
        for member in opened:
            is_plain = member.isfile() or member.isdir()
            path = writer.check(member.name, is_plain, member.size if member.isfile() else 0)
            content = opened.extractfile(member) if path is not None and member.isfile() else None
            if path is not None and content is not None:
                writer.write(path, content)
            report("unpacking", raw.tell(), total)


@contextmanager
def _streamed(raw: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """A tar read once from front to back: seeking in a compressed one unpacks it again."""
    with tarfile.open(fileobj=raw, mode="r|*", tarinfo=_Member) as opened:
        yield opened


class _Member(tarfile.TarInfo):
    """A member of a tar, what is said of it beforehand being of bounded length: tarfile holds that
    in memory, and a gigabyte of it packs into a megabyte."""

    def _proc_member(self, opened: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _SAID_BEFOREHAND and self.size > _LONGEST_NAME:
            raise tarfile.ReadError(f"a name of {self.size} bytes")
        return super()._proc_member(opened)  # type: ignore[misc,no-any-return]


_SAID_BEFOREHAND = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
