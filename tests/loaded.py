"""What the server of commands has loaded before it forks the first one: all that commands load by and by."""

import acp  # noqa: F401 - loaded, not used, like what follows
import inspect_swe._registry  # noqa: F401
import linkify_it  # noqa: F401
import markdown_it  # noqa: F401
import nest_asyncio  # noqa: F401
from anyio._backends import _asyncio  # noqa: F401
from inspect_ai._control import server  # noqa: F401
from inspect_ai.model import get_model_info
from inspect_ai.model._providers import anthropic, openai  # noqa: F401

from sidedoor.evals import run  # noqa: F401
from sidedoor.scorers.judge import scanner  # noqa: F401
from tests import spared  # noqa: F401

get_model_info("reference/official")  # reads tables of models, which are kept
