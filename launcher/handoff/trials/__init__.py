"""Short jobs that answer a question before the long run: probe, rehearsal, self-test."""
