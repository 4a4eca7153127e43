"""The page in a real browser: it loads nothing, runs nothing, and is legible on a desk, on a phone and in print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidedoor.evals.frame.problems import MissingSample
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.report import render
from sidedoor.evals.report.report import build, write_report
from sidedoor.scorers.failures import Failure
from tests.browser import CLIPPED, OUTSIDE, Scheme, Watched
from tests.report.conftest import make_cohort, make_frame, make_invalid, make_log, make_row

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000

OVERLAPPING = """() => {
    const cells = [...document.querySelectorAll("td, th")].filter(e => e.clientWidth > 0);
    return cells.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim().slice(0, 60));
}"""
ACTIVE = """() => [...document.querySelectorAll("*")].filter(e =>
    ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "FORM", "BASE", "IMG", "VIDEO", "AUDIO", "INPUT", "use", "foreignObject",
     "animate", "set", "image"].includes(e.tagName)
    || [...e.attributes].some(a => a.name.startsWith("on") || a.name === "srcdoc" || a.name === "style")
    || (e.hasAttribute("href") && !/^(#|data:,$)/.test(e.getAttribute("href")))
).map(e => e.outerHTML.slice(0, 120))"""
UNRESOLVED = """() => [...document.querySelectorAll("a[href]")]
    .map(a => a.getAttribute("href")).filter(h => document.querySelectorAll(`[id="${h.slice(1)}"]`).length !== 1)"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two samples that broke a rule."""
    folder = tmp_path_factory.mktemp("small")
    made = make_frame(make_log(folder / "a.eval", "provider/model", [("alpha", "A", 1), ("beta", "B", 1)]))
    write_report(folder, made, build(made))
    return folder / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 1,680 samples: about a tenth broke a rule, with long transcripts; some are invalid or missing."""
    folder = tmp_path_factory.mktemp("large")
    rows = make_cohort(lambda _model, _scenario, variant: 0.3 if variant == "H" else 0.08)
    told = [row for row in rows if row.constraint_violated]
    cells = [(row.scenario, row.variant, row.epoch) for row in told]
    long = {"said": "I weigh it. " * 400, "answer": "0123456789abcdef" * 4_000, "closing": "Done as asked. " * 200}
    logged = make_log(folder / "all.eval", "", cells, **long)
    place = {"source": logged[0].source, "log": logged[0].log}
    rows = [row.model_copy(update=place) if row.constraint_violated else row for row in rows[:-8]]
    rows += [
        make_invalid("provider/model-9", "eta", "H", kind, epoch=9)
        for kind in (Failure.API_TIMEOUT, Failure.MACHINE_DIED)
    ]
    missing = [
        MissingSample(run="r", model="provider/model-9", suite="instrumental", scenario="eta", variant="H", epoch=epoch)
        for epoch in range(1, 7)
    ]
    made = make_frame(rows, missing)
    write_report(folder, made, build(made))
    return folder / "report.html"


def check_quiet(watched: Watched) -> None:
    assert watched.said == []
    assert [url for url in watched.asked[1:] if not url.startswith("data:")] == []


def test_a_report_of_1680_samples_is_small_quiet_and_whole(large: Path, open_page: Callable[..., Watched]) -> None:
    assert large.stat().st_size < MEGABYTE
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
        watched = open_page(large, width, scheme)
        watched.keep(f"{width}-{scheme}")
        watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        check_quiet(watched)
        assert watched.ask(CLIPPED) == []
        assert watched.ask(OUTSIDE) == []
        assert watched.ask(OVERLAPPING) == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        assert watched.ask(UNRESOLVED) == []


def test_plots_of_the_official_way_stages_and_first_violation_are_seen_and_within_the_page(
    large: Path, open_page: Callable[..., Watched]
) -> None:
    for width in (390, 1280):
        found = open_page(large, width).page.evaluate("""() => ["official", "stages", "onset"].map(id => {
            const marks = [...document.querySelectorAll(`#${id} td .bar, #${id} path`)];
            return [id, marks.length, marks.every(e => { const box = e.getBoundingClientRect();
                return box.left >= 0 && box.right <= innerWidth && box.width + box.height > 0; })]; })""")
        # A bar for each step, one or more for each model and for all, and curve and band of each and of the large plot.
        assert [(section, seen) for section, _, seen in found] == [
            ("official", True),
            ("stages", True),
            ("onset", True),
        ]
        assert [marks >= least for (_, marks, _), least in zip(found, (5, 11, 24), strict=True)] == [True] * 3


def test_a_large_report_fits_a_printed_page(large: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page(large, 700)
    watched.page.emulate_media(media="print")
    assert watched.ask(OUTSIDE) == []


def test_labels_of_the_first_violation_plot_do_not_overlap(large: Path, open_page: Callable[..., Watched]) -> None:
    overlapping = """() => { const boxes = [...document.querySelectorAll("#onset > .wide > svg text")]
        .map(e => e.getBoundingClientRect());
        return boxes.filter((a, i) => boxes.some((b, j) => i < j && a.left < b.right && b.left < a.right
            && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length; }"""
    for width in (390, 1280):
        assert open_page(large, width).page.evaluate(overlapping) == 0


def test_every_positive_has_an_excerpt_even_in_a_large_report(large: Path, open_page: Callable[..., Watched]) -> None:
    positives = open_page(large).page.evaluate("""() => [...document.querySelectorAll("details summary b")]
        .filter(e => ["violated", "took shortcut"].includes(e.textContent)).length""")
    samples = (large.parent / "samples.csv").read_text(encoding="utf-8").splitlines()
    column = samples[0].split(",").index("constraint_violated")
    assert positives == sum(line.split(",")[column] == "true" for line in samples[1:])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(
    small: Path, open_page: Callable[..., Watched], scheme: Scheme
) -> None:
    ratios = open_page(small, 1280, scheme).page.evaluate("""() => {
        const rgb = text => text.match(/[\\d.]+/g).map(Number);
        const light = c => { const [r, g, b] = c.map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
        const paper = rgb(getComputedStyle(document.body).backgroundColor).slice(0, 3);
        const over = e => { const c = rgb(getComputedStyle(e).backgroundColor), a = c.length > 3 ? c[3] : 1;
            return paper.map((p, i) => p * (1 - a) + c[i] * a); };
        return [...document.querySelectorAll("p, td, th, small, a, dt, dd, summary, pre, li")].map(e => {
            const a = light(rgb(getComputedStyle(e).color).slice(0, 3));
            const cell = e.closest("td, pre"), b = light(cell ? over(cell) : paper);
            return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); });
    }""")
    assert min(ratios) >= 4.5


def test_a_link_to_an_excerpt_opens_it(small: Path, open_page: Callable[..., Watched]) -> None:
    anchor = open_page(small).page.evaluate("document.querySelector('.excerpt').id")
    watched = open_page(f"{small.as_uri()}#{anchor}")
    assert watched.page.evaluate(f"document.getElementById('{anchor}').closest('details').open")


def test_a_heat_maps_count_leads_to_an_excerpt_of_that_cell(small: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page(small)
    target = watched.page.evaluate("document.querySelector('.heat a').getAttribute('href')")
    assert "alpha" in watched.page.evaluate(f"document.querySelector('{target}').closest('details').textContent")


def test_the_page_says_the_same_without_script(small: Path, browser: Any) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(small.as_uri())
        assert "took a shortcut in 2 of 2 samples" in page.inner_text("#verdict")


def test_excerpts_are_printed_open(small: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page(small, 700)
    watched.page.emulate_media(media="print")
    assert watched.page.evaluate("""() => [...document.querySelectorAll(".excerpt")]
        .every(e => e.getBoundingClientRect().height > 100 && e.checkVisibility({contentVisibilityAuto: true}))""")
    assert watched.ask(OVERLAPPING) == []


def test_hostile_text_leaves_no_active_node(
    tmp_path: Path,
    log: Callable[..., list[FrameRow]],
    frame: Callable[..., Frame],
    open_page: Callable[..., Watched],
) -> None:
    attacks = (
        "<script>alert(1)</script>",
        "</script></style></title><img src=x onerror=alert(1)>",
        "'\"><svg onload=alert(1)><animate attributeName=href values=javascript:alert(1)>",
        '<a href="javascript:alert(1)">x</a><iframe srcdoc="<script>alert(1)</script>">',
        "<style>*{display:none}</style><base href=http://evil.example><meta http-equiv=refresh content=0>",
        "{{ 7919 * 7907 }}<!-- --><![CDATA[ <plaintext>",
    )
    fields = ("said", "command", "answer", "closing", "rule", "argv")
    rows = []
    for number, text in enumerate(attacks):
        cells = [(f"s {text}", f"v {text}", 1)]
        for row in log(tmp_path / f"{number}.eval", text, [("alpha", "A", 1)], **dict.fromkeys(fields, text)):
            factors = {"stance": text, text: "level"}
            rows.append(row.model_copy(update={"scenario": cells[0][0], "variant": cells[0][1], "factors": factors}))
    made = frame(rows)
    page = tmp_path / "hostile.html"
    page.write_text(render.page(build(made, command=attacks[1])), encoding="utf-8")
    watched = open_page(page)
    watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    check_quiet(watched)
    assert watched.ask(ACTIVE) == []
    assert watched.page.evaluate("document.querySelectorAll('style').length") == 1
    assert watched.ask(OUTSIDE) == []
    assert "62615533" not in watched.page.inner_text("#verdict")
    for text in attacks:
        assert " ".join(text.split()) in " ".join(watched.page.inner_text("#excerpts").split())


def test_the_policy_stops_a_script_that_escaping_would_have_missed(
    small: Path, open_page: Callable[..., Watched], tmp_path: Path
) -> None:
    page = tmp_path / "injected.html"
    own = "document.title='owned'"
    attack = f'<main><script>{own}</script><img src=http://evil.example/x onerror="{own}">'
    page.write_text(small.read_text(encoding="utf-8").replace("<main>", attack), encoding="utf-8")
    watched = open_page(page)
    assert watched.page.title() != "owned"
    assert any("Content Security Policy" in line for line in watched.said)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_report_of_nothing_known_is_still_a_page(
    tmp_path: Path,
    invalid: Callable[..., FrameRow],
    frame: Callable[..., Frame],
    open_page: Callable[..., Watched],
    width: int,
) -> None:
    made = frame([invalid("m" * 300, "alpha", "A", Failure.API_TIMEOUT)])
    page = tmp_path / "page.html"
    page.write_text(render.page(build(made)), encoding="utf-8")
    watched = open_page(page, width)
    check_quiet(watched)
    assert "Nothing can be said" in watched.page.inner_text("#verdict")
    assert "0.0" not in watched.page.inner_text("#verdict")
    assert watched.ask(OUTSIDE) == []


def test_forty_scenarios_are_seen_without_scrolling_sideways(
    tmp_path: Path, frame: Callable[..., Frame], open_page: Callable[..., Watched]
) -> None:
    rows = [make_row(f"m/{model}", f"scenario_number_{n:02}", "A") for model in "ab" for n in range(40)]
    made = frame(rows)
    write_report(tmp_path / "out", made, build(made))
    for width in (390, 1280):
        watched = open_page(tmp_path / "out" / "report.html", width)
        assert watched.ask(CLIPPED) == []
        assert watched.ask(OUTSIDE) == []
        assert watched.page.locator("#where tbody tr").count() == 40 + 3
