"""`batchwright completion`: what makes the shell's TAB key know our commands."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "print what makes TAB complete in bash, zsh or fish"
DESCRIPTION = """\
Print a few lines for the shell's start-up file. After them TAB completes commands, options, recipe files, keys and
their words after --set, codes and keys of explain, names of the library, and runs. Nothing else is installed.
bash: append to ~/.bashrc. zsh: to ~/.zshrc, behind `autoload -U compinit; compinit`. fish: a file of its own."""
EXAMPLE = """\
examples:
  batchwright completion bash >> ~/.bashrc
  batchwright completion zsh >> ~/.zshrc
  batchwright completion fish > ~/.config/fish/completions/batchwright.fish
"""
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="your shell")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the lines."""
    from argcomplete.shell_integration import shellcode

    around.say(shellcode(["batchwright"], shell=arguments.shell).strip())
    return 0
