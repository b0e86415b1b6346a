"""What runs on every node of a job: `python -m batchwright_node RUN [--node N]`, and `--stop` to end it there.

A package of its own, because `python -m` puts the current folder first on the path, where a repository may keep a
`launcher.py`: `__main__` takes ours from beside itself.
"""
