"""The program that asks a host for its facts, as words of a command: nothing of ours has to be installed there."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.discovery import node_facts
from launcher.spec.shell import quote

__all__ = ["asking_words", "pdsh_text"]

_START = """\
import sys, types
for name, text in TEXTS:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)
module.main(sys.argv)
"""
# the folder that the shell happens to start in is not searched
_UNPACK = (
    "import sys;sys.path[:]=filter(None,sys.path);import base64,zlib;"
    "exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))).decode())"
)


def asking_words(*, python: str, request: Mapping[str, Any]) -> tuple[str, ...]:
    """A command that prints the facts; the node's number may follow as its last word.

    It holds no character that a shell or pdsh reads, but for those of `python` and of one word in parentheses.
    """
    folder = Path(node_facts.__file__).parent
    texts = [("launcher", ""), ("launcher.discovery", "")]
    texts += [
        (f"launcher.discovery.{name}", (folder / f"{name}.py").read_text()) for name in node_facts.MODULES
    ]
    program = zlib.compress(f"TEXTS = {texts!r}\n{_START}".encode(), 9)
    asked = json.dumps(dict(request)).encode()
    return (python, "-c", _UNPACK, b64encode(program).decode(), b64encode(asked).decode())


def pdsh_text(words: Sequence[str]) -> str:
    """One argument for pdsh: words for the remote shell, and the node's number after them."""
    return f"exec {' '.join(map(quote, words))}".replace("%", "%%") + " %n"
