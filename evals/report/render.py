"""A report's figures as text: the page, the summary for a CI job, and tables for a paper.

Trust boundary: every expression in a template passes `visible` and then the escaping of its language. Nothing in the
templates marks text as safe, and no template puts text into a script, a style or an address.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from html import escape
from math import ceil
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.ladder import STAGES
from sidedoor.evals.judging import tables as judge_tables
from sidedoor.evals.report import words
from sidedoor.evals.report.curve import curve, drawn
from sidedoor.evals.report.data import Episodes, Excerpt, ReportData
from sidedoor.evals.report.measures import JUDGED
from sidedoor.evals.report.scale import Scale, calls_scale, effects_scale, rates_scale, shares_scale
from sidedoor.scorers.visible import visible

JUDGE_TABLES: Final = ("crossed_line", "trust_tables", "review_table", "review_lines", "severity_table")
TEMPLATES: Final = Path(__file__).parent / "templates"

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!&$@])|(?<=\w)(?=://)|(?<=www)(?=\.)")
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u202f": r"\,",
    "\u2013": "--",
    "\u2212": "$-$",
    "→": r"$\to$",
    "…": r"\ldots{}",
}


def page(data: ReportData) -> str:
    """`report.html`: one self-contained page that needs no script and loads nothing."""
    return _render("page.html.j2", escape, data)


def summary(data: ReportData) -> str:
    """`summary.md`: what fits a CI job's summary."""
    return _render("summary.md.j2", markdown, data)


def tables(data: ReportData) -> str:
    """`tables.tex`: booktabs tables of rates, effects and pairs."""
    return _render("tables.tex.j2", latex, data)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no link, image, markup or table cell of its own."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}" if found[0] else "\u2060", " ".join(text.split()))


def latex(text: str) -> str:
    """Text that LaTeX shows as it is; signs that a font may lack become `?`."""
    shown = (_LATEX.get(sign) or (sign if sign.isascii() or sign.isalpha() else "?") for sign in " ".join(text.split()))
    return "".join(shown)


def _render(template: str, escaping: Callable[[str], str], data: ReportData) -> str:
    return _environment(escaping).get_template(template).render(_context(data))


@cache
def _environment(escaping: Callable[[str], str]) -> Environment:
    def finalize(value: object) -> object:
        # What is Markup already was rendered by a macro, through this same function.
        return value if isinstance(value, Markup) else Markup(escaping(visible(str(value))))  # noqa: S704 - escaped here

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        name: getattr(words, name)
        for name in (
            "percent",
            "rate",
            "interval",
            "fraction",
            "points",
            "difference",
            "median_call",
            "median_interval",
            "p_value",
            "plural",
            "direction",
        )
    }
    environment.filters |= {"change": words.change, "declared": words.declared, "plain": _plain, "heat": _heat}
    environment.filters |= {name: getattr(judge_tables, name) for name in JUDGE_TABLES}
    return environment


def _context(data: ReportData) -> dict[str, Any]:
    pooled = [one for one in data.effects if one.measure == data.primary and one.model is None]
    common = _common_levels(data)
    return {
        "data": data,
        "verdict": list(words.verdict(data)),
        "title": data.measures[data.primary],
        "pooled_effects": pooled,
        "model_effects": _by_model(data),
        "rates": rates_scale(data.rate(data.primary, model=model).estimate for model in data.models),
        "scale": effects_scale([one.these_scenarios for one in pooled] + [one.new_scenarios for one in pooled]),
        "first": _first_excerpts(data.excerpts),
        "shares": Scale(0, 1, (0, 0.25, 0.5, 0.75, 1)),
        **_curves(data.episodes),
        "common": common,
        "special": {
            variant: {factor: level for factor, level in levels.items() if common[factor] != level}
            for variant, levels in data.variant_levels.items()
        },
        "cells": {(cell.scenario, cell.variant): cell for cell in data.design},
        "kinds": words.KINDS,
        "stages": STAGES,
        "blocked": [
            variant for variant, levels in data.variant_levels.items() if levels.get("honest_path") == "blocked"
        ],
        "no_data": words.NO_DATA,
        "text_columns": judge_tables.WORDS,
        "told_by_judges": [measure for measure in JUDGED if data.judged and data.rate(measure.id).estimate.n],
        "reviewed": "reviewed" in {one.measure for one in data.rates},
    }


def _curves(episodes: tuple[Episodes, ...]) -> dict[str, Any]:
    """Curves of first violations by model, None being all of them, on common scales; none without a sample."""
    known = {one.model: one.onset for one in episodes if one.onset.n}
    rows = [row for onset in known.values() for row in drawn(onset)]
    calls = calls_scale(max((row.call for row in rows), default=1))
    incidence = shares_scale(row.high for row in rows)
    return {
        "calls": calls,
        "incidence": incidence,
        "curves": {model: curve(onset, calls, incidence) for model, onset in known.items()},
    }


def _common_levels(data: ReportData) -> dict[str, str]:
    """The level of each factor that most variants have."""
    levels: dict[str, Counter[str]] = {}
    for variant in data.variant_levels.values():
        for factor, level in variant.items():
            levels.setdefault(factor, Counter())[level] += 1
    return {factor: counts.most_common(1)[0][0] for factor, counts in sorted(levels.items())}


def _by_model(data: ReportData) -> dict[tuple[str, str, str, str], Difference]:
    return {
        (one.model, one.factor, one.baseline, one.changed): one.these_scenarios
        for one in data.effects
        if one.measure == data.primary and one.model is not None
    }


def _first_excerpts(excerpts: tuple[Excerpt, ...]) -> dict[tuple[str, str, str], str]:
    """Anchor of the first positive of each model in each scenario and in each variant."""
    first: dict[tuple[str, str, str], str] = {}
    for one in excerpts:
        if one.positive:
            first.setdefault((one.model, "scenario", one.scenario), one.anchor)
            first.setdefault((one.model, "variant", one.variant), one.anchor)
    return first


def _plain(identifier: str) -> str:
    """An identifier as words, which can be broken over lines."""
    return identifier.replace("_", " ")


def _heat(estimate: Estimate) -> str:
    """The class of a heat map's cell: h0 to h10 by the rate, rounded up so that one event is not h0."""
    return "none" if estimate.estimate is None else f"h{ceil(estimate.estimate * 10)}"
