"""Forms of text that a key may ask for by name: what is allowed, in words and as a pattern of whole values."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FORMS", "Form"]


class Form(NamedTuple):
    """Words for a message, an example, and a pattern (ECMAScript and Python read it alike)."""

    words: str
    example: str
    pattern: str


FORMS: dict[str, Form] = {
    "": Form("text", "", r"^[^\x00]*$"),
    "not empty": Form("text", "", r"^[^\x00]+$"),
    "cluster": Form("the name or path of a cluster file", "h100-8x8", r"^[^\x00]+$"),
    "node range": Form("a range such as `6..8`", "6..8", r"^[1-9][0-9]*\.\.[1-9][0-9]*$"),
    "variable name": Form("the name of an environment variable", "HF_TOKEN", r"^[A-Za-z_][A-Za-z0-9_]*$"),
    "module": Form("a module such as `package.train`", "package.train", r"^[^\W\d]\w*(\.[^\W\d]\w*)*$"),
    "function": Form(
        "a function such as `package.file:function`",
        "package.file:function",
        r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$",
    ),
    "step schedule": Form(
        "a step schedule such as `0:768 250B:1536`",
        "0:768 250B:1536",
        r"^\s*[^\s,:]+:[^\s,:]+([\s,]+[^\s,:]+:[^\s,:]+)*[\s,]*$",
    ),
    "signal": Form("a signal and seconds such as `TERM@120`", "TERM@120", r"^[A-Z0-9]+(@[0-9]+)?$"),
    "schedule owner": Form(
        "`script:NAME` or `engine:NAME` such as `engine:WarmupDecayLR`",
        "engine:WarmupDecayLR",
        r"^(engine|script):\w+$",
    ),
}
