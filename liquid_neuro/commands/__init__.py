"""One file per command of `liquid-neuro`; nobody imports them but liquid_neuro/__main__.py, so they may use every package.

A command's file has `EXAMPLE`, a line that works as it stands after the examples of the commands before it, and `run`, whose docstring is
its help. Heavy modules are imported inside functions, so that `--help` is immediate.
"""
