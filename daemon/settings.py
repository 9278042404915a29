"""Turns settings as written into typed values, collecting every fault instead of stopping at one."""

from __future__ import annotations

import binascii
import os
import re
import socket
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from .config_keys import IGNORED, IGNORED_FAMILIES, REFUSED, REFUSED_FAMILIES
from .properties import Setting

INT_MAX = 2**31 - 1
PORT_MAX = 65535

# Of a length that int() takes, whatever the file holds.
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,99}|[0-9]{1,99})", re.ASCII)
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_SHA1_BYTES = 20
_SECRET = re.compile(rb"[!-~]+")
_SECRET_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, or worth a warning, with a key; line counts from 1, None if no line is to blame.

    key is empty when it is the file itself.
    """

    line: int | None
    key: str
    message: str


class Settings:
    """The settings as given; each is read once, by the method of its type, under its name in zoo.cfg.

    A method answers a setting's default when it is absent, and when it is faulty, so that
    the reading goes on and finds the next fault.
    """

    def __init__(self, given: Iterable[Setting]) -> None:
        """Later settings replace earlier ones of the same key, as in java.util.Properties."""
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._asked: set[str] = set()
        self._given: dict[str, Setting] = {}
        for setting in given:
            if setting.error:
                self.faults.append(Fault(setting.line, setting.key, setting.error))
                continue
            # ZooKeeper turns what it does not know into system properties with this prefix.
            key = setting.key.removeprefix("zookeeper.")
            earlier = self._given.get(key)
            if earlier and setting.line is not None:
                message = f"is set again in line {setting.line}"
                if key.startswith("server."):
                    self.faults.append(Fault(earlier.line, key, message))
                else:
                    self.warnings.append(Fault(earlier.line, key, f"{message}, which counts"))
            self._given[key] = setting

    def fault(self, key: str, message: str) -> None:
        """Note a fault of key, at its line if it was given."""
        self.faults.append(Fault(self.line(key), key, message))

    def warning(self, key: str, message: str) -> None:
        """Note a warning about key, at its line if it was given."""
        self.warnings.append(Fault(self.line(key), key, message))

    def line(self, key: str) -> int | None:
        """Where key was given."""
        setting = self._given.get(key)
        return setting.line if setting else None

    def text(self, key: str) -> str | None:
        """The value as written."""
        self._asked.add(key)
        setting = self._given.get(key)
        return setting.value if setting else None

    def integer(self, key: str, default: int, low: int, high: int = INT_MAX) -> int:
        """A number from low to high, decimal or 0x hexadecimal."""
        text = self.text(key)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            self.fault(key, f"must be a whole number, not {text!r}")
            return default
        value = int(text, 16 if "x" in text.lower() else 10)
        if not low <= value <= high:
            self.fault(key, f"must be from {low} to {high}, not {value}")
            return default
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """true or false, also spelled yes or no."""
        text = self.text(key)
        if text is None:
            return default
        value = _BOOLEANS.get(text.lower())
        if value is None:
            self.fault(key, f"must be true or false, not {text!r}")
            return default
        return value

    def choice(self, key: str, default: str, among: Collection[str]) -> str:
        """One of several words, in any case; answered as listed."""
        text = self.text(key)
        if text is None:
            return default
        for word in among:
            if word.lower() == text.lower():
                return word
        self.fault(key, f"must be one of {', '.join(among)}, not {text!r}")
        return default

    def host(self, key: str, default: str) -> str:
        """An address or a host name; it is not resolved."""
        text = self.text(key)
        if text is None:
            return default
        host = text.removeprefix("[").removesuffix("]") if ":" in text else text
        if not is_host(host):
            self.fault(key, f"is neither an address nor a host name: {text!r}")
            return default
        return host

    def directory(self, key: str, default: Path) -> Path:
        """An absolute path where files can be made, or that can itself be made."""
        text = self.text(key)
        if text is not None and (not text or "\0" in text):
            self.fault(key, f"is not a path: {text!r}")
            return default
        path = (default if text is None else Path(text)).absolute()
        nearest = path
        while not os.access(nearest, os.F_OK) and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            self.fault(key, f"{nearest} is not a directory")
        elif not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
            self.fault(key, f"no permission to write in {nearest}")
        return path

    def file(self, key: str) -> Path | None:
        """The absolute path of a file that is there or can be made, in a directory that is there."""
        text = self.text(key)
        if text is None:
            return None
        if not text or "\0" in text:
            self.fault(key, f"is not a path: {text!r}")
            return None
        path = Path(text).absolute()
        if not path.parent.is_dir():
            self.fault(key, f"{path.parent} is not a directory")
        elif path.exists() and not path.is_file():
            self.fault(key, f"{path} is not a file")
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fault(key, f"no permission to write {path}")
        return path

    def digest(self, key: str) -> str | None:
        """user:BASE64(SHA1(user:password)), as ZooKeeper's DigestAuthenticationProvider makes it.

        The value never appears in a message: it opens every door.
        """
        text = self.text(key)
        if text is None:
            return None
        user, _, encoded = text.partition(":")
        try:
            raw = binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            raw = b""
        if not user or len(raw) != _SHA1_BYTES:
            self.fault(key, "must be USER:BASE64(SHA1(USER:PASSWORD)), never the password itself")
            return None
        return text

    def secret(self, key: str, least: int) -> str | None:
        """What is in a file: a word of at least so many printable ASCII characters, which never appears in
        a message. A file that others may read is worth a warning."""
        text = self.text(key)
        if text is None:
            return None
        try:
            with Path(text).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(_SECRET_SIZE + 1).strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self.fault(key, f"{text} can't be read: {why}")
            return None
        if len(raw) < least:
            self.fault(key, f"{text} holds {len(raw)} characters; a secret needs {least} at least")
        elif len(raw) > _SECRET_SIZE or not _SECRET.fullmatch(raw):
            self.fault(
                key,
                f"{text} must hold one word of printable ASCII characters, {_SECRET_SIZE} at the most",
            )
        else:
            if mode & stat.S_IROTH:
                self.warning(key, f"{text} can be read by everyone on this machine: chmod o-r")
            return raw.decode()
        return None

    def family(self, prefix: str) -> list[Setting]:
        """All settings whose keys begin with prefix."""
        found = [setting for key, setting in self._given.items() if key.startswith(prefix)]
        self._asked.update(setting.key.removeprefix("zookeeper.") for setting in found)
        return found

    def judge_the_rest(self) -> None:
        """Say what becomes of the keys that nobody asked for."""
        for key, setting in self._given.items():
            if key in self._asked:
                continue
            if why := _member(key, REFUSED_FAMILIES):
                self.fault(key, f"can't be had here: {why}")
            elif key in REFUSED:
                as_is, why = REFUSED[key]
                if setting.value.lower() != as_is.lower():
                    self.fault(key, f"{setting.value!r} can't be had here: {why}")
            elif why := IGNORED.get(key) or _member(key, IGNORED_FAMILIES):
                self.warning(key, f"has no effect: {why}")
            else:
                self.fault(key, f"is unknown; the nearest known key is {self._nearest(key)}")

    def _nearest(self, key: str) -> str:
        import difflib  # only a fault needs it, and a start should be quick

        known = {name.lower(): name for name in (*self._asked, *IGNORED, *REFUSED)}
        return known[difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.0)[0]]


def is_host(text: str) -> bool:
    """Whether text can be an IPv4 or IPv6 address or a host name."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text.partition("%")[0])
        except (OSError, ValueError):
            return False
        return True
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def _member(key: str, families: dict[str, str]) -> str | None:
    return next((why for prefix, why in families.items() if key.startswith(prefix)), None)
