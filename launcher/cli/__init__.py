"""The command line: argv in, stdout, stderr and an exit code out."""
