"""The transaction log: append-only segment files that decide what is durable.

Everything appended between two syncs is one batch: one write into one segment, done when it is on disk
(O_DSYNC). That each frame says where its batch began is how a torn tail and damage are told apart after a
power cut, which may keep any subset of the last batch's sectors: a bad place with a frame behind it whose
batch began later was once on disk, and is damage; any other is the tail. A sector that a write does not
touch is assumed to stay, and one that it touches to hold its old or its new bytes.

Records are framed by sync(), not by append(): on its thread the CRC costs the event loop nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path

from .directories import make_directory, sync_directory
from .segment import (
    BODY,
    RECORD,
    START,
    LogDamaged,
    Segment,
    erase,
    frame_size,
    frames,
    grouped,
    open_segment,
    pack_frame,
    pack_header,
    records_of,
    used,
    write_at,
)

__all__ = ["Log", "LogDamaged", "LogFailed", "LogFull", "LogGap"]

# The first write into allocated space costs the filesystem a journal entry, a rewrite does not: small
# batches sync in 0.1 ms instead of 0.19 when zeros were written ahead of them. Large ones gain nothing.
_AHEAD = 512 << 10
_SMALL = 16 << 10
# One call that writes and syncs waits for the interpreter's lock once, where two would wait twice.
_SYNCED = os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC
_NAME = re.compile(r"log\.[0-9a-f]+")
_NEW = ".new"


class LogGap(Exception):
    """What was asked for lies before the first record that the log still holds."""


class LogFull(OSError):
    """There was no room: nothing of what waited is in the log, nor will it be."""


class LogFailed(OSError):
    """A write or a sync failed: what the disk holds is known only once the log is opened anew."""


class Log:
    """Records (zxid, payload) in rising order of zxid, in segment files below directory.

    append, rollback, truncate, restart and close belong to one thread; sync may run on another, one at a
    time and not during the last four. drop and readers may run on any.

    last_zxid: the last record appended. durable_zxid: the last one on disk. Both are 0 at first.
    needed: drop() leaves what lies beyond that zxid. unwanted: what comes before that one it was to delete.
    first_zxid: no record before it is held, and every one from it on. size: bytes of log held.
    Since it was opened: written, bytes made durable; cut, bytes of torn tail that were cut then.
    """

    def __init__(self, directory: Path, *, segment_size: int = 64 << 20) -> None:
        """Open or create; segment_size in bytes. Raises LogDamaged, OSError."""
        self._directory = directory
        self._segment_size = segment_size
        self._pending: list[bytes] = []
        self._failure: LogFull | LogFailed | None = None
        self._fd = -1
        self._end = START
        self._zeroed = 0
        self.cut = 0
        self.written = 0
        self.needed = sys.maxsize
        self.unwanted = 0
        self.last_zxid = self.durable_zxid = 0
        make_directory(directory)
        for left in directory.glob("log.*" + _NEW):
            left.unlink()
        # Names made or removed just before a kill are not on disk yet, and what follows relies on them.
        sync_directory(directory)
        names = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
        self._segments = sorted(map(open_segment, names), key=lambda segment: segment.base)
        try:
            if self._segments:
                self._recover(self._segments[-1])
        except BaseException:
            self.close()
            raise

    @property
    def first_zxid(self) -> int:
        """The first zxid that the log may hold; 1 in a new one."""
        return self._segments[0].base + 1 if self._segments else 1

    @property
    def starts(self) -> list[int]:
        """The first zxid of each segment."""
        return [segment.base + 1 for segment in self._segments[:]]

    def reach(self, most: int) -> int:
        """The zxid beyond which there are so many bytes at the most, by whole segments; two always count."""
        size, segments = self.size, self._segments[:]
        while len(segments) > 2 and size > most:
            size -= segments.pop(0).size
        return segments[0].base if segments else 0

    @property
    def size(self) -> int:
        """Bytes: every full segment, and the last one up to its end."""
        return sum(segment.size for segment in self._segments[:-1]) + (self._end if self._segments else 0)

    def append(self, zxid: int, payload: bytes) -> None:
        """Take a record; it is durable once a sync() that began later has returned."""
        if zxid <= self.last_zxid:
            raise ValueError(f"zxid {zxid:#x} does not come after {self.last_zxid:#x}")
        self._pending.append(RECORD.pack(zxid, len(payload)) + payload)
        self.last_zxid = zxid

    def sync(self) -> int:
        """Make durable what was appended before the call; the last durable zxid.

        Raises LogFull, and goes on doing so until rollback(); LogFailed, from then on for good."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        # Two steps that are safe beside an append: a swap could lose a record that goes into the old list.
        records = self._pending[:]
        del self._pending[: len(records)]
        if not records:
            return self.durable_zxid
        try:
            self._write(records)
        except LogFull as error:
            self._failure = error
            raise
        except Exception as error:
            self._failure = LogFailed(f"the log in {self._directory} failed and must be reopened: {error}")
            raise self._failure from error
        return self.durable_zxid

    def rollback(self) -> None:
        """Forget what is not durable: after LogFull its zxids may be used again and sync() tries again."""
        self._pending.clear()
        self.last_zxid = self.durable_zxid
        if isinstance(self._failure, LogFull):
            self._failure = None

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The records (zxid, payload) beyond after that are durable now. Raises LogGap, LogDamaged."""
        durable = self.durable_zxid  # first: segments that come later begin behind it
        segments = self._segments[:]
        if after < (segments[0].base if segments else 0):
            raise LogGap(
                f"the log in {self._directory} begins after zxid {segments[0].base:#x}, not {after:#x}"
            )
        return _read(segments, after, durable)

    def truncate(self, after: int) -> None:
        """Drop the records beyond after, durably. Raises LogGap, LogDamaged, or OSError: then reopen."""
        if after < self.first_zxid - 1:
            raise LogGap(
                f"the log in {self._directory} begins at zxid {self.first_zxid:#x}: no cut at {after:#x}"
            )
        self.sync()
        if after >= self.last_zxid:
            return
        try:
            # From the back, one by one: whatever a power cut leaves is a log without a gap.
            while len(self._segments) > 1 and self._segments[-1].base >= after:
                self._remove(self._segments.pop())
            # Not in place: a half-zeroed segment would look damaged. The new file takes the name at once.
            kept = self._segments[-1]
            self._use(*self._create(kept.base, kept.size, _read([kept], kept.base, after)))
        except Exception as error:
            self._failure = LogFailed(f"the log in {self._directory} must be reopened: {error}")
            raise
        self.last_zxid = self.durable_zxid

    def restart(self, after: int) -> None:
        """Drop every record and begin anew behind after, durably: what a snapshot up to there is followed by.

        After a power cut meanwhile the log holds some first part of its old records, or none, and may begin
        at 1. Raises OSError: then reopen."""
        self.rollback()
        try:
            while self._segments:
                self._remove(self._segments.pop())
            self._use(*self._create(after, self._segment_size, iter(())))
        except Exception as error:
            self._failure = LogFailed(f"the log in {self._directory} must be reopened: {error}")
            raise
        self.last_zxid = self.durable_zxid

    def drop(self, before: int) -> None:
        """Delete the segments whose records all come before that zxid; never the last, nor what is needed."""
        self.unwanted = before
        while len(self._segments) > 1 and self._segments[1].base < min(before, self.needed + 1):
            self._remove(self._segments.pop(0))

    def close(self) -> None:
        """Let go of the file. What was not synced is lost."""
        self._failure = LogFailed(f"the log in {self._directory} is closed")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, records: list[bytes]) -> None:
        # One body holds nearly every batch, and is quicker made at once.
        if sum(map(len, records)) <= BODY:
            bodies = [(b"".join(records), RECORD.unpack_from(records[-1])[0])]
        else:
            bodies = list(grouped(records))
        length = sum(frame_size(body) for body, _ in bodies)
        if not self._segments or self._end + length > self._segments[-1].size:
            self._roll(max(self._segment_size, START + length))
        segment, start = self._segments[-1], self._end
        end = start + length
        data = b"".join(pack_frame(segment.mark, start, body, last) for body, last in bodies)
        if length < _SMALL and end > self._zeroed:
            self._zeroed = min(end + _AHEAD, segment.size)
            data += bytes(self._zeroed - end)
        try:
            write_at(self._fd, data, start)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            erase(self._fd, start)
            os.fdatasync(self._fd)
            raise LogFull(error.errno, f"no room in {segment.path}: {error.strerror}") from error
        self._end = end
        self.written += length
        self.durable_zxid = bodies[-1][1]

    def _roll(self, size: int) -> None:
        """Go on in a new segment. A batch never spans two: all of the older one is on disk."""
        try:
            made = self._create(self.durable_zxid, size, iter(()))
        except OSError as error:
            raise LogFull(error.errno, f"no new segment in {self._directory}: {error.strerror}") from error
        self._use(*made)

    def _create(self, base: int, size: int, records: Iterator[tuple[int, bytes]]) -> tuple[Segment, int, int]:
        """Make a segment, whole and on disk before it takes its name: (segment, end, last zxid)."""
        segment = Segment(base, self._directory / f"log.{base + 1:x}", os.urandom(8), size)
        new = segment.path.with_name(segment.path.name + _NEW)
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            write_at(fd, pack_header(base, segment.mark), 0)
            end, last = START, base
            packed = (RECORD.pack(zxid, len(payload)) + payload for zxid, payload in records)
            for body, last in grouped(packed):
                write_at(fd, pack_frame(segment.mark, end, body, last), end)
                end += frame_size(body)
            os.fsync(fd)
            new.rename(segment.path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        finally:
            os.close(fd)
        return segment, end, last

    def _use(self, segment: Segment, end: int, last: int) -> None:
        """Make this the last segment; it has taken the name of one with the same base."""
        fd = os.open(segment.path, _SYNCED)
        if self._fd >= 0:
            os.close(self._fd)
        if self._segments and self._segments[-1].base == segment.base:
            self._segments.pop()
        self._segments.append(segment)
        self._fd, self._end, self._zeroed = fd, end, end
        self.durable_zxid = last
        sync_directory(self._directory)

    def _remove(self, segment: Segment) -> None:
        segment.path.unlink()
        sync_directory(self._directory)

    def _recover(self, tail: Segment) -> None:
        """Find the end of the last segment; cut a torn batch behind it."""
        self._fd = os.open(tail.path, _SYNCED)
        end = batch = START
        last = tail.base
        for frame in frames(self._fd, tail.mark, START):
            end, batch, last = frame.end, frame.batch, frame.last
        for at, chunk in used(self._fd, end):
            found = chunk.find(tail.mark)
            while found >= 0:
                later = next(frames(self._fd, tail.mark, at + found), None)
                if later is not None and later.batch > end:
                    raise LogDamaged(f"{tail.path}: damaged at offset {end}, with records behind it")
                found = chunk.find(tail.mark, found + 1)
        self.cut = erase(self._fd, end)
        # The last batch may stand in the page cache alone, by a kill or a failed sync: write it once more.
        write_at(self._fd, os.pread(self._fd, end - batch, batch), batch)
        os.fdatasync(self._fd)
        self._end = self._zeroed = end
        self.last_zxid = self.durable_zxid = last


def _read(segments: list[Segment], after: int, durable: int) -> Iterator[tuple[int, bytes]]:
    """The records of these segments with after < zxid <= durable. Each must reach the next one's base."""
    goals = [segment.base for segment in segments[1:]] + [durable]
    for segment, goal in zip(segments, goals, strict=False):
        goal = min(goal, durable)
        if goal <= after:
            continue
        end, last = START, segment.base
        try:
            fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise LogGap(f"{segment.path} was dropped while it was to be read") from None
        try:
            for frame in frames(fd, segment.mark, START):
                end, last = frame.end, frame.last
                if last > after:
                    for zxid, payload in records_of(frame.body):
                        if after < zxid <= durable:
                            yield zxid, payload
                if last >= goal:
                    break
        finally:
            os.close(fd)
        if last < goal:
            raise LogDamaged(f"{segment.path}: damaged at offset {end}: ends with {last:#x}, not {goal:#x}")
        after = goal
