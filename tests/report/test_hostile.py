"""Nothing that an agent, a model or a file name says acts on who reads a report, in any of its forms."""

import csv
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sidedoor.evals.frame.problems import Problem
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.report import render
from sidedoor.evals.report.data import ReportData
from sidedoor.evals.report.report import build, write_report
from sidedoor.evals.report.words import verdict
from tests.report.conftest import make_frame, make_log, make_row

HOSTILE = (
    "<script>alert(1)</script>",
    "</script></style><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) https://evil.example",
    '"><svg onload=alert(1)><a href="javascript:alert(1)">x</a>',
    '=HYPERLINK("http://evil.example")',
    "\x1b]0;owned\x07\x1b[2J\x1b[31m \u202egnp.exe \u2066",
    "| a | b |\n# heading\n```",
    "{{ data.models }}{% raw %} \\input{/etc/passwd} $x^2$ %_&#~",
)


def hostile_frame(folder: Path) -> Frame:
    rows: list[FrameRow] = []
    for number, text in enumerate(HOSTILE):
        fields = ("said", "command", "answer", "closing", "rule", "argv")
        path = folder / f"{number}{text.replace('/', '_')[:40]}.eval"
        rows += make_log(path, text, [("alpha", "A", 1)], **dict.fromkeys(fields, f"{text} {number}"))
        factors = {"stance": text, "x": f"level {text}"}
        rows.append(make_row(text, text, f"v {text}", factors=factors, version=text, run=text, content_sha256=text))
    made = make_frame(rows)
    problems = tuple(Problem(kind="broken_log", what=text, count=1, where=text) for text in HOSTILE)
    return Frame(made.samples, made.missing, problems)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    return hostile_frame(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def data(frame: Frame) -> ReportData:
    return build(frame, command=" ".join(HOSTILE))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, frame: Frame, data: ReportData) -> Path:
    """The report's folder."""
    folder = tmp_path_factory.mktemp("out")
    write_report(folder, frame, data)
    return folder


def unseen(text: str) -> set[str]:
    """Control, bidirectional and unpaired characters in a text."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co") or c in "\u202e\u2066"} - {"\n", "\t"}


@pytest.mark.parametrize(
    "file", ["report.html", "summary.md", "tables.tex", "rates.csv", "contrasts.csv", "summary.json"]
)
def test_no_file_holds_a_character_that_acts_unseen(hostile: Path, file: str) -> None:
    assert unseen((hostile / file).read_text(encoding="utf-8")) == set()


def test_the_page_has_no_tag_that_its_template_did_not_write(hostile: Path) -> None:
    page = (hostile / "report.html").read_text(encoding="utf-8")
    tags = {tag.lower() for tag in re.findall(r"<\s*/?\s*([a-zA-Z!]+)", page)}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "base", "foreignobject", "use"})
    assert set(re.findall(r'href="([^"]*)"', page)) <= {"data:,", *re.findall(r'href="(#[a-z0-9-]+)"', page)}
    assert page.count("<style>") == page.count("</style>") == 1


@pytest.mark.parametrize("file", ["rates.csv", "contrasts.csv", "samples.csv"])
def test_no_cell_of_a_csv_is_a_formula(hostile: Path, file: str) -> None:
    with (hostile / file).open(newline="", encoding="utf-8") as stream:
        cells = [cell for line in csv.reader(stream) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)


def test_the_json_is_ascii_and_keeps_what_was_said(hostile: Path) -> None:
    raw = (hostile / "summary.json").read_bytes()
    assert raw.isascii()
    assert "<script>alert(1)</script>" in json.loads(raw)["models"]


def test_markdown_shows_hostile_text_as_text(hostile: Path) -> None:
    text = (hostile / "summary.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "https://" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert widths == {9, 4} or widths == {9}


def test_latex_shows_hostile_text_as_text() -> None:
    assert render.latex(r"\input{x} $a_1$ %&#~^") == (
        r"\textbackslash{}input\{x\} \$a\_1\$ \%\&\#\textasciitilde{}\textasciicircum{}"
    )


def test_the_verdict_puts_no_control_on_a_terminal(data: ReportData) -> None:
    assert unseen("\n".join(verdict(data))) == set()


@pytest.mark.parametrize("form", [render.page, render.summary, render.tables])
def test_a_control_that_got_past_the_analysis_is_stopped_where_text_is_written(
    form: Callable[[ReportData], str],
) -> None:
    data = build(make_frame([make_row("m", "alpha", "A")]))
    changed = data.model_copy(update={"created": "\x1b[2J\u202e", "sidedoor": "\x9b1m"})
    assert unseen(form(changed)) == set()
