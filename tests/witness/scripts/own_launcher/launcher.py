"""A repository's own module of that name."""

GREETING = "the repository's own"
