"""Which errors are a user's to act on: they are shown as one line, without a traceback."""

import re

_MARKUP = re.compile(r"\[/?[a-z_]+\]")


def user_errors() -> tuple[type[BaseException], ...]:
    """Exception types whose message is one line that says what to do.

    Only modules that a command has already imported can have raised theirs, so nothing heavy is imported here.
    """
    import sys

    names = {
        "sidedoor.tasks.yaml_source": ("SourceError",),
        "sidedoor.sandboxes.machine": ("ProviderUnavailableError",),
        "sidedoor.sandboxes.image": ("ImageError",),
        "sidedoor.scorers.findings": ("UndeclaredMarkError",),
        "sidedoor.scorers.adjudication": ("AdjudicationError",),
        "sidedoor.scorers.judge.case": ("CaseError",),
        "sidedoor.evals.judging.study": ("StudyError",),
        "sidedoor.evals.rehearsal": ("RehearsalError",),
        "sidedoor.evals.run": ("RunError",),
        "inspect_ai._util.error": ("PrerequisiteError",),
    }
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return tuple(getattr(module, item) for name, module in loaded.items() for item in names[name])


def one_line(error: BaseException) -> str:
    """An error's message on one line, without the markup that Inspect puts in its own."""
    return " ".join(_MARKUP.sub("", str(error)).split())
