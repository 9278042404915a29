"""What the documents say that a program can check: keys, links, the README's session."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from znoded.daemon.cli import main
from znoded.daemon.config import Config, load
from znoded.daemon.config_keys import REFUSED, REFUSED_FAMILIES, WORDS
from znoded.daemon.settings import Settings

from .daemons import Daemon

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for folder in (".", "docs", "bench") for path in (ROOT / folder).glob("*.md"))
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SAMPLE = (ROOT / "etc" / "zoo.cfg").read_text()
README = (ROOT / "README.md").read_text()
COMMENTED_OUT = re.compile(r"^#(?=[\w.]+=)", re.MULTILINE)


def section(title: str) -> str:
    """What stands below a heading of docs/configuration.md, up to the next one of its level."""
    return CONFIGURATION.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """What is `code` in the first cells of all rows of tables."""
    return {
        code
        for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for code in re.findall(r"`(.+?)`", cell)
    }


DOCUMENTED = first_cells(section("Keys"))
WITHOUT_EFFECT = first_cells(section("Accepted, without effect"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every key that the configuration reads; of a family, with N for what follows its prefix."""
    keys: set[str] = set()

    class Recorder(Settings):
        def text(self, key: str) -> str | None:
            keys.add(key)
            return super().text(key)

    monkeypatch.setattr("znoded.daemon.config.Settings", Recorder)
    load(None, {})
    return keys | {"server.N"}


class TestKeys:
    def test_every_key_is_documented_and_no_other(self, read: set[str]) -> None:
        assert read == DOCUMENTED

    @pytest.mark.parametrize("key", sorted(WITHOUT_EFFECT))
    def test_what_is_said_to_have_no_effect_has_none(self, key: str) -> None:
        (warning,) = load(None, {key: "1"}).warnings
        assert warning.message.startswith("has no effect")

    def test_everything_refused_is_listed_with_what_is_taken(self) -> None:
        listed = dict(re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)` )?\|", section("Refused"), re.MULTILINE))
        assert listed == {key: as_is for key, (as_is, _) in REFUSED.items()}
        assert all(f"`{family}N`" in section("Refused") for family in REFUSED_FAMILIES)

    def test_the_flags_are_those_of_start(self) -> None:
        start = main.commands["start"]
        flags = {flag for option in start.params for flag in option.opts} - {"--config"}
        assert {cell.split()[0] for cell in first_cells(section("Flags"))} == flags


class TestSample:
    def config(self, folder: Path, text: str) -> Config:
        path = folder / "zoo.cfg"
        path.write_text(text)
        loaded = load(path, {"dataDir": str(folder)})
        assert (loaded.faults, loaded.warnings) == ((), ())
        assert loaded.config
        return loaded.config

    def test_what_is_commented_out_stands_at_its_default(self, tmp_path: Path) -> None:
        config = self.config(tmp_path, COMMENTED_OUT.sub("", SAMPLE))
        default = self.config(tmp_path, SAMPLE)
        assert config == replace(default, data_log_dir=config.data_log_dir)

    def test_every_key_is_there(self, read: set[str]) -> None:
        there = set(re.findall(r"^(?:# ?)?([\w.]+)=\S", SAMPLE, re.MULTILINE))
        assert there == read - {"server.N"} | {"server.1"}


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class TestText:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
    def test_links_lead_somewhere(self, document: Path) -> None:
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = document.parent / name if name else document
            assert target.exists(), link
            if anchor:
                headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
                assert anchor in map(slug, headings), link

    def test_every_word_is_told_of(self) -> None:
        text = (ROOT / "docs" / "operations.md").read_text().split("## The four-letter words")[1]
        assert first_cells(text.split("`mntr`'s keys")[0]) == WORDS

    def test_every_document_can_be_reached_from_the_readme(self) -> None:
        assert all(f"(docs/{path.name})" in README for path in DOCUMENTS if path.parent.name == "docs")


@pytest.mark.parametrize("title", ["A lock, in ten lines", "The same in Python"])
def test_the_readme_s_python(tmp_path: Path, title: str) -> None:
    part = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.+?)```.+?```text\n(.+?)```", part, re.DOTALL)
    assert found is not None
    script, said = found.groups()
    daemon = Daemon(tmp_path)
    daemon.start()
    try:
        script = script.replace("127.0.0.1:2181", "{}:{}".format(*daemon.address))
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    finally:
        daemon.kill()
    assert (ran.stdout, ran.stderr) == (said, "")
