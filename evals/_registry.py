"""What the package registers with Inspect (see the entry point in pyproject.toml)."""

import sys

from sidedoor.evals.agents import operator
from sidedoor.evals.instrumental import instrumental
from sidedoor.evals.reference import ReferenceModel
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.scorers.judge.scorer import judge_scorer
from sidedoor.scorers.state import state_scorer

__all__ = [
    "ReferenceModel",
    "WorkplaceSandbox",
    "instrumental",
    "judge_scorer",
    "operator",
    "state_scorer",
]

if "inspect_scout" in sys.modules:
    # The scanner is for scout's own command, and importing scout takes longer than importing Inspect.
    from sidedoor.scorers.judge import scanner as scanner
