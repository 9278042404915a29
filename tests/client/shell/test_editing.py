"""`edit` has a znode's data changed in an editor, and nobody else's change undone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .typed import Znode


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that edits as its body says; what stands in temporary files is below tmp_path/files."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("VISUAL", raising=False)
    script = tmp_path / "editor.py"
    monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}' --flag")
    return script


def writes(editor: Path, body: str) -> None:
    editor.write_text(f"import os, sys\nfrom pathlib import Path\nfile = Path(sys.argv[-1])\n{body}\n")


def files(editor: Path) -> list[Path]:
    return list((editor.parent / "files").iterdir())


def test_what_is_typed_is_there(znode: Znode, editor: Path) -> None:
    znode.said("create", "/edited", "one")
    looks = "assert (file.stat().st_mode | file.parent.stat().st_mode) & 0o77 == 0"
    writes(editor, f"{looks}\nfile.write_text(file.read_text() + ' two\\n')")
    assert znode.said("edit", "/edited") == "Changed /edited to version 1\n"
    assert znode.said("get", "/edited") == "one two\n"  # the last is get's
    assert znode.json("get", "/edited")["data"] == "one two"
    znode.said("set", "/edited", "a line\n")
    assert znode.json("edit", "/edited")["stat"]["version"] == 3
    assert znode.json("get", "/edited")["data"] == "a line\n two\n"
    assert files(editor) == []


def test_nothing_typed_is_nothing_changed(znode: Znode, editor: Path) -> None:
    znode.said("create", "/untouched", "as it was")
    writes(editor, "file.write_text(file.read_text() + '\\n')")
    assert znode.said("edit", "/untouched") == "/untouched is as it was\n"
    assert znode.json("get", "-s", "/untouched")["stat"]["version"] == 0
    assert files(editor) == []


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        (["set {} theirs"], 5, "Version does not match: {}"),
        (["delete {}", "create {} theirs"], 5, "Version does not match: {}"),
        (["delete {}"], 3, "Node does not exist: {}"),
    ],
)
def test_a_change_meanwhile_is_kept_and_so_is_what_was_typed(
    znode: Znode, editor: Path, changes: list[str], code: int, says: str
) -> None:
    path = f"/contested{len(changes)}{code}"
    znode.said("create", path, "old")
    lines = "\n".join(changes).format(path, path)
    shell = f"from znoded.client.shell.main import main; main(['--server', {znode.server!r}])"
    writes(
        editor,
        "import subprocess\nfile.write_text('mine')\n"
        f"subprocess.run([sys.executable, '-c', {shell!r}], input={lines!r}, text=True, check=True,"
        " stdout=subprocess.DEVNULL)",
    )
    result = znode("edit", path)
    assert result.exit_code == code
    (folder,) = files(editor)
    (file,) = folder.iterdir()
    assert file.read_text() == "mine"
    assert result.stderr == f"What you typed is kept in {file}\n{says.format(path)}\n"
    if code == 5:
        assert znode.said("get", path) == "theirs\n"


def test_an_editor_that_fails(znode: Znode, editor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    znode.said("create", "/spared", "old")
    writes(editor, "sys.exit(3)")
    assert znode.failed("edit", "/spared") == (
        1,
        f"{sys.executable} has ended with 3: /spared is as it was",
    )
    assert files(editor) == []
    monkeypatch.setenv("VISUAL", "/no/such")
    assert znode.failed("edit", "/spared") == (127, "/no/such: no such program")
    assert files(editor) == []
    assert znode.failed("edit", "/nobody")[0] == 3
