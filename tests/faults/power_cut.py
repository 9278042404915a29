"""Rebuilds the files that a power cut could have left, from what was written and synced, in order.

What a cut may leave is wider than what any one filesystem leaves: of each sector any state since its
last sync, of each size likewise, and any of the names made, renamed or removed since their directory
was synced. Only this is assumed: a sector is written whole, a rename happens or does not, and what
fsync, fdatasync or a write with O_DSYNC has returned from stays.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random
from struct import Struct
from typing import TypeAlias, TypeVar

SECTOR = 512
_ZEROS = bytes(SECTOR)
_HEADER = Struct("<BBHxxxxQQQQ")
_SHIM = Path(__file__).with_name("recorder.c")
# Mapped and written by every process anew: no state that a restart relies on.
_SCRATCH = ("lock.mdb", "-shm")


@dataclass(frozen=True, slots=True)
class Opened:
    path: str
    file: int
    created: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    file: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Allocated:
    file: int
    end: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file or a directory."""

    path: str
    file: int


@dataclass(frozen=True, slots=True)
class SyncedRange:
    """A write with O_DSYNC has returned."""

    file: int
    at: int
    length: int


@dataclass(frozen=True, slots=True)
class Renamed:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Removed:
    path: str


@dataclass(frozen=True, slots=True)
class MadeDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class Said:
    """Handed to standard output or a socket: whoever hears it may rely on all that came before."""

    fd: int
    data: bytes


Step: TypeAlias = (
    Opened | Written | Resized | Allocated | Synced | SyncedRange | Renamed | Removed | MadeDirectory | Said
)


@dataclass(slots=True)
class File:
    """Sectors and size now, and every state of each that a cut may bring back, oldest first."""

    size: int = 0
    sectors: dict[int, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=lambda: [0])
    states: dict[int, list[bytes]] = field(default_factory=dict)

    def write(self, at: int, data: bytes) -> None:
        end = at + len(data)
        for number in range(at // SECTOR, -(-end // SECTOR)):
            old = self.sectors.get(number, _ZEROS)
            start = number * SECTOR
            low, high = max(at, start), min(end, start + SECTOR)
            new = old[: low - start] + data[low - at : high - at] + old[high - start :]
            self.states.setdefault(number, [old]).append(new)
            self.sectors[number] = new
        self._set_size(max(self.size, end))

    def resize(self, size: int) -> None:
        if size < self.size:
            stale = [number for number in self.sectors if number >= size // SECTOR]
            end = (max(stale, default=-1) + 1) * SECTOR
            if end > size:
                self.write(size, bytes(end - size))
        self._set_size(size)

    def _set_size(self, size: int) -> None:
        self.size = size
        if size != self.sizes[-1]:
            self.sizes.append(size)

    def sync(self) -> None:
        self.sizes = [self.size]
        self.states.clear()

    def sync_range(self, at: int, length: int) -> None:
        self.sizes = [self.size]
        for number in range(at // SECTOR, -(-(at + length) // SECTOR)):
            self.states.pop(number, None)


@dataclass(slots=True, eq=False)
class Directory:
    entries: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)


Node: TypeAlias = File | Directory
_State = TypeVar("_State")
NameChange: TypeAlias = list[tuple[Directory, str, Node | None]]


@dataclass(frozen=True, slots=True)
class Image:
    """Files as a cut left them: path to (size, sectors); and the directories."""

    files: dict[str, tuple[int, dict[int, bytes]]]
    directories: list[str]

    def write(self, target: Path) -> None:
        """Make these files below target, which is made too."""
        target.mkdir()
        for path in self.directories:
            (target / path).mkdir()
        for path, (size, sectors) in self.files.items():
            with (target / path).open("wb") as file:
                for number, content in sorted(sectors.items()):
                    if content != _ZEROS and number * SECTOR < size:
                        file.seek(number * SECTOR)
                        file.write(content)
                file.truncate(size)


def image_of(source: Path) -> Image:
    """All that is below source, as it is."""
    image = Image({}, [])
    for path in sorted(source.rglob("*")):
        name = str(path.relative_to(source))
        if path.is_dir():
            image.directories.append(name)
        else:
            data = path.read_bytes()
            parts = (data[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(data), SECTOR))
            image.files[name] = len(data), dict(enumerate(parts))
    return image


class Disk:
    """The files below one directory, and what of them is durable. It begins empty, or with an image."""

    def __init__(self, image: Image | None = None) -> None:
        self.root = Directory()
        self._open: dict[int, File] = {}
        self._changes: list[NameChange] = []
        if image is not None:
            for path in image.directories:
                self._change((path, Directory()))
            for path, (size, sectors) in image.files.items():
                self._change((path, File(size, dict(sectors), [size])))
            self._commit(self._changes)

    def apply(self, step: Step) -> None:
        match step:
            case Opened(path, number, created, truncated):
                if created:
                    self._change((path, File()))
                node = self._node(path)
                if isinstance(node, File):
                    self._open[number] = node
                    if truncated:
                        node.resize(0)
            case Written(number, at, data):
                self._open[number].write(at, data)
            case Resized(number, size):
                self._open[number].resize(size)
            case Allocated(number, end):
                file = self._open[number]
                file.resize(max(file.size, end))
            case Synced(path, number):
                node = self._node(path)
                if isinstance(node, Directory):
                    self._sync_names(node)
                else:
                    self._open[number].sync()
            case SyncedRange(number, at, length):
                self._open[number].sync_range(at, length)
            case Renamed(old, new):
                self._change((old, None), (new, self._node(old)))
            case Removed(path):
                self._change((path, None))
            case MadeDirectory(path):
                self._change((path, Directory()))
            case Said():
                pass

    def cut(self, rng: Random, keep: float | None = None) -> Image:
        """One image that a cut at this moment may leave. keep: the share of what is unsynced that stays;
        1 is what a killed process leaves, and if none is given, any is drawn."""
        if keep is None:
            keep = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names: dict[int, dict[str, Node]] = {}
        for change in self._changes:
            if rng.random() < keep:
                _assign(change, lambda directory: names.setdefault(id(directory), dict(directory.durable)))
        image = Image({}, [])
        self._collect(image, "", self.root, names, rng, keep)
        return image

    def _collect(
        self,
        image: Image,
        path: str,
        directory: Directory,
        names: dict[int, dict[str, Node]],
        rng: Random,
        keep: float,
    ) -> None:
        for name, node in sorted(names.get(id(directory), directory.durable).items()):
            if isinstance(node, Directory):
                image.directories.append(path + name)
                self._collect(image, f"{path}{name}/", node, names, rng, keep)
            else:
                sectors = dict(node.sectors)
                for number, states in node.states.items():
                    sectors[number] = _pick(states, rng, keep)
                image.files[path + name] = (_pick(node.sizes, rng, keep), sectors)

    def _place(self, path: str) -> tuple[Directory, str]:
        directory = self.root
        *parents, name = PurePosixPath(path).parts
        for parent in parents:
            node = directory.entries[parent]
            assert isinstance(node, Directory), path
            directory = node
        return directory, name

    def _node(self, path: str) -> Node | None:
        if not path:
            return self.root
        directory, name = self._place(path)
        return directory.entries.get(name)

    def _change(self, *named: tuple[str, Node | None]) -> None:
        change: NameChange = [(*self._place(path), node) for path, node in named]
        _assign(change, lambda directory: directory.entries)
        self._changes.append(change)

    def _sync_names(self, directory: Directory) -> None:
        """What touches the directory, and what came before to the same names."""
        touched: set[tuple[int, str]] = set()
        synced: list[NameChange] = []
        for change in reversed(self._changes):
            keys = {(id(place), name) for place, name, _ in change}
            if keys & touched or any(place is directory for place, _, _ in change):
                touched |= keys
                synced.insert(0, change)
        self._commit(synced)

    def _commit(self, changes: list[NameChange]) -> None:
        for change in changes:
            _assign(change, lambda directory: directory.durable)
        gone = {id(change) for change in changes}
        self._changes = [change for change in self._changes if id(change) not in gone]


def _assign(change: NameChange, entries: Callable[[Directory], dict[str, Node]]) -> None:
    for directory, name, node in change:
        if node is None:
            entries(directory).pop(name, None)
        else:
            entries(directory)[name] = node


def _pick(states: Sequence[_State], rng: Random, keep: float) -> _State:
    if len(states) == 1 or rng.random() < keep:
        return states[-1]
    return rng.choice(states[:-1]) if keep else states[0]


def images(
    steps: Iterable[Step], cuts: Callable[[int], int], rng: Random, start: Disk | None = None
) -> Iterator[tuple[int, Image]]:
    """(steps done, image): for each number of steps done, as many images as cuts says of it. The steps
    were done on start, which stays as it is, or on an empty disk."""
    disk = deepcopy(start) or Disk()
    for done, step in enumerate(steps, 1):
        disk.apply(step)
        for _ in range(cuts(done)):
            yield done, disk.cut(rng)


def build_recorder(directory: Path) -> Path | None:
    """Compile the shim into directory; None where there is no compiler."""
    library = directory / "recorder.so"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SHIM, "-ldl"], check=True)
    except FileNotFoundError:
        return None
    return library


def start_recorded(
    command: Sequence[str | Path],
    recorder: Path,
    watch: Path,
    trace: Path,
    *,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start any command; what it does to files below watch (which exists) goes into trace."""
    return subprocess.Popen(command, env=recorded(recorder, watch, trace), stdout=stdout, stderr=stderr)


def recorded(recorder: Path, watch: Path, trace: Path) -> dict[str, str]:
    """The environment that start_recorded() gives a command."""
    return os.environ | {
        "LD_PRELOAD": str(recorder),
        "POWER_CUT_WATCH": str(watch),
        "POWER_CUT_TRACE": str(trace),
    }


def read_trace(trace: Path) -> list[Step]:
    """The steps of a trace, in order. Raises ValueError for what can't be rebuilt."""
    return [step for _, step in read_moments(trace)]


def read_moments(trace: Path) -> list[tuple[int, Step]]:
    """As read_trace(), each step with the time in ns when it had been done, or, if it is something said, when
    it was about to be. All processes' times are comparable."""
    raw = trace.read_bytes()
    steps: list[tuple[int, Step]] = []
    at = 0
    while at < len(raw):
        kind, flags, path_length, length, file, number, time = _HEADER.unpack_from(raw, at)
        at += _HEADER.size
        path = raw[at : at + path_length].decode()
        data = raw[at + path_length : at + path_length + length]
        at += path_length + length
        if path.endswith(_SCRATCH):
            continue
        steps.append((time, _step(chr(kind), flags, path, data, file, number)))
        if kind == ord("w") and flags:
            steps.append((time, SyncedRange(file, number, len(data))))
    return steps


def _step(kind: str, flags: int, path: str, data: bytes, file: int, number: int) -> Step:
    match kind:
        case "o":
            return Opened(path, file, bool(flags & 1), bool(flags & 2))
        case "w":
            return Written(file, number, data)
        case "t":
            return Resized(file, number)
        case "a":
            return Allocated(file, number)
        case "f":
            return Synced(path, file)
        case "r":
            return Renamed(path, data.decode())
        case "u":
            return Removed(path)
        case "d":
            return MadeDirectory(path)
        case "s":
            return Said(file, data)
    raise ValueError(f"{path}: {data.decode()} can't be rebuilt from a trace")
