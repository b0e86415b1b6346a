"""Runs a training script that never heard of us, and sees whether it trains what was planned.

`python -m batchwright_witness --plan PLAN SCRIPT ARGS...` or `--plan PLAN --module PKG.MOD ARGS...`.
The script meets the interpreter as `python SCRIPT` would give it: sys.argv, sys.path, `__main__`, and no `launcher`
in sys.modules, so that a repository's own `launcher.py` is what its scripts get.
"""
