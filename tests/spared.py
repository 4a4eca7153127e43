"""Imported, it spares tests what Inspect and others do for nobody there.

At the end of each evaluation Inspect lays out a table of all metrics, twice, also where the display is `none`; that
takes longer than most evaluations of tests. At the beginning it starts a server by which somebody could steer it, which
is an eighth of a short run. Clients of model APIs read the certificates of all authorities, which takes longer than all
else that they do with a server on this machine, which needs none.
"""

import os

from inspect_ai._display.rich import display
from inspect_ai._util import zipfile

display.tasks_results = lambda _: ""  # a text can be drawn, too
zipfile._ZSTD_THREADS = 0
os.environ.setdefault("INSPECT_EVAL_CTL_SERVER", "false")
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = os.devnull
