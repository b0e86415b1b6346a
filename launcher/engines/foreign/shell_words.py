"""The commands of a shell script as words, as far as they can be known without running it.

Read: quotes, backslashes, comments, here-documents (skipped), redirections (skipped), `NAME=value`, `NAME=(a b)`,
`$NAME`, `${NAME}`, `${NAME:-value}`, `"${NAME[@]}"`. Nothing is run: `$(...)` and names that the file does not set stay
as they stand, and are reported.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["ShellCommand", "read_commands"]

_TOKEN = re.compile(
    r"""
  (?P<continued>\\\r?\n)
| (?P<escaped>\\.)
| (?P<single>'[^']*(?:'|\Z))
| (?P<double>"(?:[^"\\]|\\.)*(?:"|\Z))
| (?P<run>\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\) | `[^`]*`)
| (?P<variable>\$\{[^}]*\} | \$[A-Za-z_]\w* | \$[@*\#?0-9$!])
| (?P<heredoc>\d*<<-?\s*["']?\w+["']?)
| (?P<redirect>(?:\d+|&)?[<>]+&?[ \t]*[^\s;|&]*)
| (?P<newline>\r?\n)
| (?P<separator>[;|&()])
| (?P<space>[ \t\r]+)
| (?P<text>[^\s\\'"$`;|&()<>]+|.)
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_BRACED = re.compile(
    r"\$\{(?P<name>[A-Za-z_]\w*)(?P<list>\[[@*]\])?(?::?[-=](?P<default>.*))?\}", re.ASCII | re.DOTALL
)
_IN_QUOTES = re.compile(
    r"""\\(?P<escaped>["\\$`\n]) | (?P<run>\$\((?:[^()]|\([^()]*\))*\) | `[^`]*`)
      | (?P<variable>\$\{[^}]*\} | \$[A-Za-z_]\w* | \$[@*\#?0-9$!])""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_SETTING = re.compile(r"(?P<name>[A-Za-z_]\w*)\+?=(?P<value>.*)", re.ASCII | re.DOTALL)
_DECLARING = frozenset({"export", "declare", "local", "readonly"})
_LEADING = frozenset({"then", "do", "else", "if", "{", "time", "exec", "nohup", "!"})


class ShellCommand(NamedTuple):
    """One simple command."""

    words: tuple[str, ...]
    settings: dict[str, str]
    """`NAME=value` before it."""
    exported: dict[str, str]
    """Variables that the script has exported before it."""
    line: int
    unknown: tuple[str, ...]
    """What of it only a shell could fill in: `$NNODES`."""


def read_commands(text: str) -> tuple[ShellCommand, ...]:
    """Every simple command of a script, in its order."""
    script = _Script()
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token is not None
        if token.lastgroup == "text" and token[0].startswith("#") and script.word is None:
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
            continue
        script.take(token.lastgroup or "text", token[0])
        at = token.end()
        if token.lastgroup == "newline" and script.heredoc:
            at = _behind(text, at, script)
    script.end()
    return tuple(script.commands)


def _behind(text: str, at: int, script: _Script) -> int:
    """Where a here-document ends."""
    end = re.compile(rf"^\t*{re.escape(script.heredoc)}[ \t]*\r?$", re.MULTILINE).search(text, at)
    script.line += text.count("\n", at, end.end() if end else len(text))
    script.heredoc = ""
    return end.end() if end else len(text)


class _Script:
    """What has been read so far."""

    def __init__(self) -> None:
        self.commands: list[ShellCommand] = []
        self.known: dict[str, tuple[str, ...]] = {}
        self.exported: dict[str, str] = {}
        self.words: list[str] = []
        self.word: str | None = None
        self.unknown: list[str] = []
        self.array: str | None = None
        self.heredoc = ""
        self.line = self.start = 1

    def take(self, kind: str, text: str) -> None:
        """One token."""
        if kind == "newline":
            self._end_word()
            if self.array is None:
                self.end()
        elif kind == "space":
            self._end_word()
        elif kind == "separator":
            self._separator(text)
        elif kind == "heredoc":
            self._end_word()
            self.heredoc = re.sub(r"\d*<<-?\s*|[\"']", "", text)
        elif kind == "variable":
            self._variable(text)
        elif kind not in {"continued", "redirect"}:
            self._text(kind, text)
        self.line += text.count("\n")

    def _text(self, kind: str, text: str) -> None:
        if kind == "escaped":
            text = text[1:]
        elif kind == "single":
            text = text[1:].removesuffix("'")
        elif kind == "double":
            self._quoted(text[1:].removesuffix('"'))
            return
        elif kind == "run":
            self.unknown.append(text)
        self.word = (self.word or "") + text

    def _separator(self, text: str) -> None:
        setting = _SETTING.fullmatch(self.word or "")
        if text == "(" and setting and not setting["value"] and self.array is None:
            self.array, self.word = setting["name"], None
            self.words = []
            return
        self._end_word()
        if text == ")" and self.array is not None:
            self.known[self.array] = tuple(self.words)
            self.array, self.words = None, []
        elif self.array is None:
            self.end()

    def _quoted(self, text: str) -> None:
        """Inside double quotes only a list is several words."""
        if (braced := _BRACED.fullmatch(text)) and braced["list"] and self.word is None:
            items = self.known.get(braced["name"])
            if items is not None:
                for item in items:
                    self.word = item
                    self._end_word()
                return

        def value(match: re.Match[str]) -> str:
            if match["escaped"]:
                return match["escaped"].replace("\n", "")
            if match["run"]:
                self.unknown.append(match["run"])
                return match["run"]
            return " ".join(self._value(match["variable"]))

        self.word = (self.word or "") + _IN_QUOTES.sub(value, text)

    def _variable(self, text: str) -> None:
        """Without quotes, a value is as many words as it has."""
        items = self._value(text)
        fields = (
            items if _SETTING.match(self.word or "") else [part for item in items for part in item.split()]
        )
        if _SETTING.match(self.word or ""):
            self.word = (self.word or "") + " ".join(fields)
            return
        for turn, field in enumerate(fields):
            if turn:
                self._end_word()
            self.word = (self.word or "") + field

    def _value(self, text: str) -> tuple[str, ...]:
        braced = _BRACED.fullmatch(text)
        name = braced["name"] if braced else text.strip("${}")
        if name in self.known:
            return self.known[name]
        if braced and braced["default"] is not None:
            return (braced["default"].strip("\"'"),)
        self.unknown.append(text)
        return (text,)

    def _end_word(self) -> None:
        if self.word is not None:
            if not self.words:
                self.start = self.line
            self.words.append(self.word)
        self.word = None

    def end(self) -> None:
        """The command is over."""
        self._end_word()
        words, self.words, unknown = self.words, [], tuple(dict.fromkeys(self.unknown))
        self.unknown = []
        while words and words[0] in _LEADING:
            words = words[1:]
        settings: dict[str, str] = {}
        while words and (match := _SETTING.fullmatch(words[0])):
            settings[match["name"]] = match["value"]
            words = words[1:]
        if not words:
            self.known.update({name: (value,) for name, value in settings.items()})
            self.exported.update({name: settings[name] for name in settings.keys() & self.exported.keys()})
        elif words[0] in _DECLARING:
            self._declare(words)
        else:
            command = ShellCommand(tuple(words), settings, dict(self.exported), self.start, unknown)
            self.commands.append(command)

    def _declare(self, words: list[str]) -> None:
        for word in words[1:]:
            match = _SETTING.fullmatch(word)
            if match:
                self.known[match["name"]] = (match["value"],)
            name = match["name"] if match else word
            if words[0] == "export" and name in self.known:
                self.exported[name] = " ".join(self.known[name])
