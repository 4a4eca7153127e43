"""Imported, it spares tests what Inspect does for nobody there.

At the end of each evaluation Inspect lays out a table of all metrics, twice, also where the display is `none`; that
takes longer than most evaluations of tests. At the beginning it starts a server by which somebody could steer it, which
is an eighth of a short run.
"""

import os

from inspect_ai._display.rich import display

display.tasks_results = lambda _: ""  # a text can be drawn, too
os.environ.setdefault("INSPECT_EVAL_CTL_SERVER", "false")
