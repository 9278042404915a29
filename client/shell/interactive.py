"""The shell that somebody types in: a prompt that tells the session's state, history, completion."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle

from ..values import State
from .completion import candidates
from .folders import state_folder
from .shell import Shell

_COLOURS: Final = {
    State.CONNECTED: "ansigreen",
    State.CONNECTING: "ansiyellow",
    State.SUSPENDED: "ansiyellow",
}


async def converse(shell: Shell) -> int:
    """Take lines and do them, until `quit` or Ctrl-D; the exit code of the last."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=_Completer(shell),
        complete_while_typing=False,
        complete_style=CompleteStyle.MULTI_COLUMN,
    )
    shell.output.tell("`help` tells what can be said, `help COMMAND` more about one; Ctrl-D quits")
    await shell.begin()
    while not shell.over:
        try:
            with patch_stdout(raw=True):
                line = await session.prompt_async(lambda: _prompt(shell))
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        await shell.line(line)
    return shell.code


class _Completer(Completer):
    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        length, found = await candidates(self._shell, document.text_before_cursor)
        for each in found:
            end = " " if each.ends and len(found) == 1 else ""
            yield Completion(each.text + end, -length, display=each.shown, display_meta=each.about)


class _History(FileHistory):
    """Lines of earlier shells, but for those with passwords."""

    def store_string(self, string: str) -> None:
        if not string.lstrip().startswith(("addauth", "connect")):
            super().store_string(string)


def _history() -> History:
    """Kept where the user's programs keep their state; only for this shell, if that can't be written."""
    folder = state_folder()
    path = folder / "history"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError:
        return InMemoryHistory()
    return _History(path)


def _prompt(shell: Shell) -> FormattedText:
    """As zkCli's: [zk: SERVERS(STATE) NUMBER]."""
    state = shell.state
    return FormattedText(
        [
            ("", f"[zk: {shell.place}("),
            (_COLOURS.get(state, "ansired"), state.upper()),
            ("", f") {len(shell.lines)}] "),
        ]
    )
