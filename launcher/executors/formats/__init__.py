"""What several executors render with."""
