"""Codes about recipes as files of a repository: checked, locked, compared, begun from other tools' files."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["RECIPE_CODES"]

RECIPE_CODES: dict[str, CodeInfo] = {
    "bad-lengths": CodeInfo(
        "a file of sequence lengths has a line, or an item, that is no length in tokens",
        "one whole number a line, or `length count`; put a header behind a `#`",
    ),
    "lengths-disagree": CodeInfo(
        "the recipe's `data` says something else than the file of its sequence lengths",
        "write what `batchwright data` counts, or name the file of this recipe's data",
    ),
    "no-sequences": CodeInfo(
        "lengths of samples were given for a recipe without sequence_length",
        "write sequence_length; images and rows of a table have none",
    ),
    "nothing-to-check": CodeInfo(
        "no file below the named folders looks like a recipe",
        "name the folder that holds recipes, or a file, which is checked whatever it looks like",
    ),
    "row-twice": CodeInfo(
        "two rows of the catalog have one name: two of your own, or one of yours and a shipped one",
        "rename yours, or write `replaces_shipped: true` in it where it stands in for the shipped one",
    ),
    "unknown-recipe": CodeInfo(
        "the library that comes with the package has no recipe of that name",
        "`batchwright recipes` lists them; a recipe of your own is named by its path",
    ),
    "would-overwrite": CodeInfo(
        "a file that would be written is there already", "name another folder, or move the file away"
    ),
    "nothing-to-explain": CodeInfo(
        "the word is no error code, no key of a recipe, no number of a plan and no placeholder",
        "`batchwright explain` alone lists what there is",
    ),
    # locks and revisions
    "lock-moved": CodeInfo(
        "what training means is no longer what the lock beside the recipe, or that of a git revision, has approved",
        "where it is meant, `batchwright lock` and have the new lock reviewed; else take the change back",
    ),
    "locked-plan-moved": CodeInfo(
        "training means the same and is carried out otherwise than the lock has approved",
        "`batchwright lock` records the new plan",
    ),
    "locked-split-moved": CodeInfo(
        "`auto` would now choose another micro-batch than the one that is locked",
        "`batchwright lock` takes the new one; micro_batch_size written out keeps the old one",
    ),
    "locked-memory-moved": CodeInfo(
        "the expected memory lies outside the band that is locked, or the plan no longer fits",
        "look at `batchwright plan`, then `batchwright lock`",
    ),
    "not-locked": CodeInfo("the recipe has no lock", "`batchwright lock` writes one"),
    "lock-unreadable": CodeInfo(
        "the file beside the recipe is no lock, or one that a merge has left in pieces",
        "`batchwright lock` after deleting it",
    ),
    "lock-too-new": CodeInfo("the lock is of a version that this one does not read", "upgrade batchwright"),
    "lock-edited": CodeInfo(
        "somebody has edited the numbers of a lock", "`batchwright lock` writes what the recipe comes to"
    ),
    "lock-without-recipe": CodeInfo("the recipe that a lock belongs to is gone", "delete the lock"),
    "lock-needs-cluster": CodeInfo(
        "the recipe names no machines: what it comes to depends on where it is planned",
        "write `cluster:`, or name one: `batchwright lock RECIPE --cluster NAME`",
    ),
    "not-a-lock": CodeInfo(
        "the file that the lock would be written to holds something else",
        "move it away, or rename the recipe",
    ),
    "unknown-revision": CodeInfo(
        "git knows no commit of that name; a shallow clone holds few of them",
        "fetch it, or fetch the whole history",
    ),
    "no-repository": CodeInfo(
        "there is no git, or no git repository here", "run it inside the repository that the revision is of"
    ),
    "not-in-revision": CodeInfo(
        "the revision has no such file", "paths of `REV:path` count from the top of the repository"
    ),
    # begun from other tools' files
    "source-unknown": CodeInfo(
        "`batchwright init` does not know what kind of file it was given",
        "name a config.json, a DeepSpeed JSON, an Accelerate file, TrainingArguments, or a script with a command line",
    ),
    "source-not-json": CodeInfo(
        "a file that begins like JSON is none",
        "the place named is where the reader gave up; look before it too",
    ),
    "source-binary": CodeInfo(
        "a pickle or another binary file: a pickle is a program, and reading it would run it",
        "print what it holds as JSON, if you trust it, and name that",
    ),
    "sources-disagree": CodeInfo(
        "two files, or two numbers of one, say different things about one key; none of them is chosen",
        "leave out the one that does not belong to this run, or make them agree",
    ),
    "several-launches": CodeInfo(
        "a script starts more than one training", "give the words of one of them behind `--`"
    ),
    "already-a-recipe": CodeInfo(
        "the file is a recipe or a plan of Batchwright's, not one of another tool", "copy it"
    ),
}
