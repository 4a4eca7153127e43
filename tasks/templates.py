"""Templates of prompts, files and scripts: sandboxed Jinja in which an undefined name is an error."""

import datetime as dt
import traceback
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from sidedoor.tasks.yaml_source import SourceError

FAILURES = (TemplateError, TypeError, ValueError, ArithmeticError)
"""What a template's own mistakes raise."""


def fill(text: str, name: str, values: Mapping[str, Any]) -> str:
    """Render a template.

    Args:
        text: the template.
        name: what to call it in an error.
        values: the names that it may use.

    Raises:
        SourceError: a syntax error, an undefined name, or a failing expression.
    """
    try:
        return _template(text).render(**values)
    except FAILURES as error:
        raise SourceError(f"{name}{_place(error)}: {error}") from None


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    """Evaluate a Jinja expression to a Python value.

    Raises:
        SourceError: a syntax error, an undefined name, or a failing expression.
    """
    try:
        template = _expression(expression)
        context = template.new_context({**_environment().globals, **values}, shared=True)
        for _ in template.root_render_func(context):
            pass
        value = context.vars["result"]
    except FAILURES as error:
        raise SourceError(f"'{expression}': {error}") from None
    if isinstance(value, StrictUndefined):
        raise SourceError(f"'{expression}' is undefined")
    return value


def _place(error: Exception) -> str:
    """`:line` of a syntax error, or of the template's line that was being rendered (Jinja puts it in the traceback)."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
    return f":{line}" if line else ""


@lru_cache(maxsize=1024)
def _template(text: str) -> Template:
    return _environment().from_string(text)


@lru_cache(maxsize=1024)
def _expression(text: str) -> Template:
    """What has the expression's value as `result`: Jinja's own expressions take twice as long."""
    return _environment().from_string(f"{{% set result = {text} %}}")


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(later=_later, day=_day, clock=_clock, stamp=_stamp, money=_money)
    return environment


def _later(moment: str, minutes: float) -> str:
    """An ISO moment some minutes after (or, negative, before) another."""
    shifted = dt.datetime.fromisoformat(moment) + dt.timedelta(minutes=minutes)
    return shifted.isoformat(timespec="minutes")


def _day(moment: str) -> str:
    return f"{dt.datetime.fromisoformat(moment):%A %d %B}"


def _clock(moment: str) -> str:
    return f"{dt.datetime.fromisoformat(moment):%H:%M}"


def _stamp(moment: str) -> str:
    """The form in which worlds print moments."""
    return f"{dt.datetime.fromisoformat(moment):%a %d %b %H:%M}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"
