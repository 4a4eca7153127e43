"""What the package registers with Inspect (see the entry point in pyproject.toml)."""

from sidedoor.evals.agents import operator
from sidedoor.evals.instrumental import instrumental
from sidedoor.evals.reference import ReferenceModel
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.scorers.state import state_scorer

__all__ = ["ReferenceModel", "WorkplaceSandbox", "instrumental", "operator", "state_scorer"]
