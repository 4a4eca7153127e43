"""Checking that what a judge quotes stands where it says. A verdict that rests on words nobody wrote is no verdict."""

from collections.abc import Iterator, Mapping

from sidedoor.scorers.judge.verdict import Verdict


def missing_quotes(verdict: Verdict, texts: Mapping[str, str]) -> list[str]:
    """Objections to quotes that do not exist, in words that the judge can act on; empty if all do.

    White space is compared as single spaces, because renderings wrap; nothing else is forgiven.

    Args:
        verdict: of the right form.
        texts: what was shown, by label.
    """
    shown = {label: _folded(text) for label, text in texts.items()}
    return list(dict.fromkeys(_missing(verdict, shown)))


def _missing(verdict: Verdict, shown: Mapping[str, str]) -> Iterator[str]:
    for citation in verdict.citations():
        if citation.message not in shown:
            yield f"there is no {citation.message}"
        elif _folded(citation.quote) not in shown[citation.message]:
            yield f"{citation.message} does not contain the quote {citation.quote!r}"


def _folded(text: str) -> str:
    return " ".join(text.split())
