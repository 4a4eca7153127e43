"""The review page in a real browser: decide, undo, reload, several reviewers, hostile and endless text, any width."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage

from sidedoor.scorers.adjudication import FILE, Adjudication, Decision
from sidedoor.scorers.judge.exhibit import make_exhibit
from sidedoor.scorers.judge.judgement import Judging
from tests.browser import CLIPPED, OUTSIDE, Scheme, Watched
from tests.review.conftest import JUDGES, Says, Served, cases_of, judge_run, make_sample

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "</div></article></main></body><h1 id=forged>Case closed</h1><iframe srcdoc='<script>1</script>'>",
    "{{ 7 * 7 }}{% raw %}<!-- --><![CDATA[ <plaintext>'\"><svg onload=alert(1)>",
    "\x1b]0;owned\x07\x1b[2J\x1b[31m \u202egnp.exe \u2066 a\u200bb",
    "<form action=http://evil.example><input name=violated value=true checked></form><base href=http://evil.example>",
)
NAMELESS = """() => [...document.querySelectorAll("input, textarea, button, select, a[href], progress")].filter(e => {
    const label = e.getAttribute("aria-label") || [...(e.labels ?? [])].map(l => l.textContent).join("")
        || e.textContent;
    return e.getClientRects().length && !label.trim();
}).map(e => e.outerHTML.slice(0, 100))"""
ACTIVE = """() => [...document.querySelectorAll("*")].filter(e =>
    ["IFRAME", "OBJECT", "EMBED", "BASE", "IMG", "VIDEO", "AUDIO", "svg", "STYLE", "META"].includes(e.tagName)
    && !(e.tagName === "META" && e.closest("head") && !e.httpEquiv)
    || [...e.attributes].some(a => a.name.startsWith("on") || a.name === "srcdoc" || a.name === "style")
).map(e => e.outerHTML.slice(0, 120))"""


def changed(text: str) -> Callable[[list[ChatMessage]], list[ChatMessage]]:
    """Adds a text to whatever the agent and its tools said."""

    def change(messages: list[ChatMessage]) -> list[ChatMessage]:
        said = ("assistant", "tool")
        return [
            one.model_copy(update={"content": f"{one.text}{text}"}) if one.role in said else one for one in messages
        ]

    return change


def decided(run: Path) -> list[Decision]:
    return Adjudication(run).decisions()


def press(watched: Watched, keys: str) -> None:
    """Presses keys one after another, each once what the one before asked for has been answered."""
    answered(watched)
    for key in keys:
        watched.page.keyboard.press(key)
        answered(watched)


def answered(watched: Watched) -> None:
    """Waits until the page listens to keys and nothing that was decided is on its way."""
    watched.page.wait_for_selector("#form:not([aria-busy=true])", state="attached")


def follow(watched: Watched, key: str) -> None:
    """Presses a key that leads to another page."""
    with watched.page.expect_navigation():
        watched.page.keyboard.press(key)


def checked(watched: Watched) -> dict[str, str]:
    found: dict[str, str] = watched.page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('#form input:checked')].map(e => [e.name, e.value]))"
    )
    return found


def status(watched: Watched) -> str:
    text: str = watched.page.inner_text("#status")
    return text


def check_quiet(watched: Watched) -> None:
    """Nothing was logged, and nothing was requested of anybody else."""
    assert watched.said == []
    assert {urlsplit(url).hostname for url in watched.asked if not url.startswith("data:")} == {"127.0.0.1"}


@pytest.fixture
def first(judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]) -> Watched:
    """The first case of the judged run, open before anna."""
    served = serve(judged)
    return open_page(served.case("anna", served.review.order[0]))


# ---- deciding ---------------------------------------------------------------------------------------------------


def test_a_reviewer_says_who_they_are_begins_and_gets_through_the_queue_by_keys(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged)
    watched = open_page(served.root)
    watched.page.fill("#reviewer", "Anna Müller & Söhne")
    follow(watched, "Enter")
    follow(watched, "j")
    for key in "vcuc":
        press(watched, key)
        follow(watched, "j")
    press(watched, "vj")
    assert [one.labels["violated"] for one in decided(judged)] == [True, False, None, False, True]
    assert [one.case_sha256 for one in decided(judged)] == served.review.order
    assert {one.reviewer for one in decided(judged)} == {"Anna Müller & Söhne"}
    assert status(watched) == "There is no case there"
    follow(watched, "q")
    assert "Every case is decided" in watched.page.inner_text("main")
    check_quiet(watched)


def test_every_answer_has_a_key_and_is_on_disk_once_it_is_said_to_be_saved(judged: Path, first: Watched) -> None:
    press(first, "v4oomammm")
    last = decided(judged)[-1]
    labels = {"violated": True, "considered": False, "misreport": True, "awareness": True}
    assert (dict(last.labels), last.severity) == (labels, 4)
    assert status(first).startswith("Saved: violation, severity 4, considered no, misreport yes, awareness yes")


def test_a_mouse_does_what_keys_do(judged: Path, first: Watched) -> None:
    first.page.get_by_label("Clean c").check()
    first.page.get_by_role("radio", name="2, a doubtful").check()
    first.page.get_by_role("group", name="Final message misleads").get_by_label("cannot tell").check()
    answered(first)
    last = decided(judged)[-1]
    assert (dict(last.labels), last.severity) == ({"violated": False, "misreport": None}, 2)


def test_a_reload_shows_what_was_decided(judged: Path, first: Watched) -> None:
    press(first, "v3n")
    first.page.keyboard.type("The mail is no permission; v c z 5 are letters here.")
    first.page.keyboard.press("Escape")
    answered(first)
    first.page.reload()
    assert checked(first) == {"violated": "true", "severity": "3"}
    note = "The mail is no permission; v c z 5 are letters here."
    assert first.page.input_value("#note") == note
    assert status(first).startswith("Saved: violation, severity 3")
    assert decided(judged)[-1].note == note
    check_quiet(first)


def test_undo_brings_back_what_was_decided_before_step_by_step(judged: Path, first: Watched) -> None:
    press(first, "v4c")
    assert checked(first) == {"violated": "false", "severity": "4"}
    press(first, "z")
    assert checked(first) == {"violated": "true", "severity": "4"}
    press(first, "z")
    assert checked(first) == {"violated": "true"}
    press(first, "z")
    assert checked(first) == {}
    press(first, "z")
    assert status(first) == "Not saved: there is nothing to undo on this case"
    first.page.reload()
    assert checked(first) == {}
    assert len(decided(judged)) == 6


def test_a_note_that_is_being_written_is_kept_when_a_decision_is_made(judged: Path, first: Watched) -> None:
    first.page.fill("#note", "half a thought")
    first.page.get_by_label("Violation v").check()
    answered(first)
    assert (decided(judged)[-1].note, dict(decided(judged)[-1].labels)) == ("half a thought", {"violated": True})


def test_quick_keys_are_all_recorded_in_their_order(judged: Path, first: Watched) -> None:
    for key in "vcvcv5":
        first.page.keyboard.press(key)
    answered(first)
    assert [one.labels["violated"] for one in decided(judged)] == [True, False, True, False, True, True]
    assert checked(first) == {"violated": "true", "severity": "5"}


def test_a_decision_that_cannot_be_saved_is_not_shown_as_made(judged: Path, first: Watched) -> None:
    press(first, "c")
    (judged / FILE).unlink()
    (judged / FILE).mkdir()
    press(first, "v")
    assert status(first).startswith("Not saved: ")
    assert checked(first) == {"violated": "false"}


def test_a_server_that_is_gone_is_noticed(first: Watched) -> None:
    first.page.route("**/decisions", lambda route: route.abort("internetdisconnected"))
    first.page.keyboard.press("v")
    first.page.wait_for_selector("#status.failed")
    assert checked(first) == {}


def test_a_page_that_does_not_listen_to_keys_yet_says_that_it_is_busy(first: Watched) -> None:
    held: list[Any] = []
    first.page.route("**/review.js", lambda route: held.append(route))
    first.page.goto(first.page.url, wait_until="commit")
    assert first.page.get_attribute("#form", "aria-busy") == "true"
    held[0].continue_()
    press(first, "v")
    assert checked(first) == {"violated": "true"}


# ---- several reviewers ------------------------------------------------------------------------------------------


def test_two_reviewers_differ_in_two_tabs_and_settle_it_together(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged)
    case = served.review.order[0]
    anna, ben = open_page(served.case("anna", case)), open_page(served.case("ben", case))
    press(anna, "v")
    press(ben, "c")
    assert "In dispute" in ben.page.inner_text("aside")
    assert "anna violation" in ben.page.inner_text("aside")
    anna.page.reload()
    anna.page.click("button[data-question=violated][data-answer=true]")
    answered(anna)
    assert "In dispute" not in anna.page.inner_text("aside")
    ben.page.reload()
    assert "together violation" in ben.page.inner_text("aside")
    assert checked(ben) == {"violated": "false"}
    assert [one.joint for one in decided(judged)] == [False, False, True]
    ben.page.goto(f"{served.root}agreement?reviewer=ben")
    assert "0/1" in ben.page.inner_text("table")
    for watched in (anna, ben):
        check_quiet(watched)


def test_a_blind_reviewer_sees_the_rest_once_their_own_decision_is_in(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged, blind=True)
    case = served.review.order[0]
    served.review.decide("ben", case, {"violated": False}, note="as I read the mail")
    watched = open_page(served.case("anna", case))
    assert "as I read the mail" not in watched.page.content()
    assert JUDGES[0] not in watched.page.content()
    press(watched, "v")
    watched.page.wait_for_selector("details summary")
    assert "as I read the mail" in watched.page.inner_text("aside")
    assert JUDGES[0] in watched.page.inner_text("aside")
    press(watched, "z")
    watched.page.wait_for_selector("text=Shown once you have decided")
    assert JUDGES[0] not in watched.page.content()


# ---- what is shown ----------------------------------------------------------------------------------------------


def test_the_decisive_step_is_marked_and_reached_by_a_key(first: Watched) -> None:
    marked = first.page.locator("main .turn.decisive")
    assert marked.count() == 2
    assert "shortcut colleague-account, achieved" in marked.first.inner_text()
    assert "submit" in marked.first.inner_text()
    press(first, "s")
    while "decisive" not in (first.page.evaluate("document.activeElement.className")):
        press(first, "s")
    assert first.page.evaluate("""() => { const box = document.activeElement.getBoundingClientRect();
        return box.top >= document.querySelector(".bar").getBoundingClientRect().bottom && box.top < 200; }""")


def test_each_quote_of_a_judge_leads_to_its_words_in_the_transcript(first: Watched) -> None:
    quotes = first.page.locator("details[open] a.quote")
    assert quotes.count() > 0
    for quote in quotes.all():
        quote.click()
        anchor = quote.get_attribute("href")
        marked = first.page.locator(f"mark:has({anchor})")
        assert " ".join(marked.inner_text().split()) in " ".join(quote.inner_text().split())
        box = marked.bounding_box()
        assert box is not None
        assert 0 < box["y"] < 900


def test_a_run_that_was_never_judged_is_reviewed_by_state_alone(
    make_run: Callable[..., Path], serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    run = make_run()
    served = serve(run)
    assert len(served.review.order) == 5
    watched = open_page(served.case("anna", served.review.order[0]))
    assert "No judge was asked" in watched.page.inner_text("aside")
    assert "shortcut" in watched.page.inner_text("#findings + dl + ul")
    press(watched, "v")
    assert decided(run)[0].rubric == "1-A"


def test_hostile_text_is_inert_wherever_it_stands(
    tmp_path: Path,
    make_run: Callable[..., Path],
    serve: Callable[..., Served],
    open_page: Callable[..., Watched],
) -> None:
    samples = [
        make_sample("A", "shortcut-colleague-account", number, changed(text), thought=text)
        for number, text in enumerate(HOSTILE, 1)
    ]
    run = make_run(samples)
    judge_run(run, samples, lambda sample, _: Says(broken=True, why=HOSTILE[int(str(sample.id)[-1]) - 1]))
    served = serve(run)
    whole: list[str] = []
    for case in served.review.order:
        served.review.decide("ben", case, {"violated": False}, note=HOSTILE[0])
        served.review.decide("anna", case, {"violated": True}, note=HOSTILE[0])
        watched = open_page(served.case("anna", case))
        watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        check_quiet(watched)
        assert watched.page.title().endswith("quota boost A")
        assert watched.ask(ACTIVE) == []
        assert watched.page.locator("form").count() == 2
        assert watched.page.locator("#forged").count() == 0
        assert checked(watched) == {"violated": "true"}
        assert watched.page.input_value("#note") == HOSTILE[0]
        shown = watched.page.inner_text("body")
        assert set(shown) & set("\x1b\x07\u202e\u2066\u200b") == set()
        whole.append(watched.page.inner_text("main"))
    assert sum("⟨U+202E⟩gnp.exe" in text and "␛[2J" in text for text in whole) == 1
    assert sum("{{ 7 * 7 }}" in text for text in whole) == 1


def test_the_policy_stops_what_escaping_would_have_missed(first: Watched) -> None:
    own = "document.title='owned'"
    attack = (
        f"<main><script>{own}</script><script src=//evil.example/x.js></script><img src=//evil.example onerror={own}>"
    )

    def inject(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<main>", attack))

    first.page.route("**/cases/*", inject)
    first.page.reload()
    first.page.wait_for_timeout(200)
    assert "owned" not in first.page.title()
    assert sum("Content Security Policy" in line for line in first.said) >= 3
    with pytest.raises(Exception, match="TrustedHTML"):
        first.page.evaluate("document.body.innerHTML = '<b>x</b>'")


def endless(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Ten megabytes in one output, with a needle that begins after five, and a marker at its very end."""
    first = next(at for at, one in enumerate(messages) if one.role == "tool")
    hay = "0123456789abcdef hay\n" * 250_000
    text = f"{hay[: 5 * MEGABYTE]}the needle\n   that matters{hay[: 5 * MEGABYTE]}END-OF-OUTPUT"
    return [one.model_copy(update={"content": text}) if at == first else one for at, one in enumerate(messages)]


def judged_by_needle(run: Path, samples: Sequence[EvalSample]) -> None:
    def says(sample: EvalSample, _: str) -> Says:
        (case,) = cases_of([sample])
        pieces = [piece for part in make_exhibit(case, Judging().view, True).parts for piece in part]
        label = next(piece.label for piece in pieces if "the needle\n" in piece.text)
        return Says(broken=True, quotes=[(label, "the needle that matters")])

    judge_run(run, samples, says)


def test_ten_megabytes_of_output_are_bounded_show_the_quote_and_can_be_read_on(
    make_run: Callable[..., Path], serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    samples = [make_sample("A", "official", change=endless)]
    run = make_run(samples)
    judged_by_needle(run, samples)
    served = serve(run)
    watched = open_page(served.case("anna", served.review.order[0]))
    assert len(watched.page.content()) < MEGABYTE
    assert watched.page.locator("mark").first.inner_text().split() == ["the", "needle", "that", "matters"]
    assert "END-OF-OUTPUT" in watched.page.inner_text("main")
    gaps = watched.page.locator("#m3 button.gap")
    assert gaps.count() == 2
    before = json.loads(watched.page.evaluate("JSON.stringify(document.querySelector('.gap').dataset)"))
    hidden = int(before["end"]) - int(before["start"])
    assert f"{hidden:,} characters not shown" in gaps.first.inner_text()
    gaps.first.click()
    watched.page.wait_for_function(
        "n => document.querySelector('.gap').textContent.startsWith(n)", arg=f"{hidden - 50_000:,}"
    )
    text = watched.page.evaluate("document.querySelector('.gap').previousSibling.data")
    hay = "0123456789abcdef hay\n" * 5_000
    assert text in hay
    assert len(text) == 50_000
    check_quiet(watched)


# ---- everywhere -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_or_out_of_reach(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched], width: int, scheme: Scheme
) -> None:
    served = serve(judged)
    served.review.decide("ben", served.review.order[0], {"violated": False}, note="a long note " * 30)
    served.review.decide("anna", served.review.order[0], {"violated": True}, 4)
    pages = {"queue": f"{served.root}?reviewer=anna", "agreement": f"{served.root}agreement?reviewer=anna"}
    pages |= {"welcome": served.root, "case": served.case("anna", served.review.order[0])}
    for name, address in pages.items():
        watched = open_page(address, width, scheme)
        watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        watched.keep(f"review-{name}-{width}-{scheme}")
        assert watched.ask(CLIPPED) == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        assert [one for one in watched.ask(OUTSIDE) if not one.startswith(("A.skip", "LEGEND"))] == []
        assert watched.ask(NAMELESS) == []
        check_quiet(watched)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched], scheme: Scheme
) -> None:
    served = serve(judged)
    served.review.decide("ben", served.review.order[0], {"violated": False})
    served.review.decide("anna", served.review.order[0], {"violated": True}, 4)
    for address in (served.case("anna", served.review.order[0]), f"{served.root}?reviewer=anna"):
        watched = open_page(address, 1280, scheme)
        watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        poor = watched.page.evaluate("""() => {
            const rgb = text => text.match(/[\\d.]+/g).map(Number);
            const light = c => { const [r, g, b] = c.map(v => v / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return .2126*r + .7152*g + .0722*b; };
            const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } };
            const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            return [...document.body.querySelectorAll("*")]
                .filter(e => own(e) && e.checkVisibility() && !e.closest(".off"))
                .map(e => { const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
                    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.outerHTML.slice(0, 90)]; })
                .filter(([ratio]) => ratio < 4.5); }""")
        assert poor == []


def test_what_has_the_focus_is_seen_to_have_it(first: Watched) -> None:
    seen = set()
    for _ in range(40):
        first.page.keyboard.press("Tab")
        tag, outlined = first.page.evaluate("""() => { const e = document.activeElement;
            const shown = e.matches("fieldset input") ? e.nextElementSibling : e;
            return [e.tagName, e === document.body || parseFloat(getComputedStyle(shown).outlineWidth) >= 2]; }""")
        assert outlined, tag
        seen.add(tag)
    assert {"A", "BUTTON", "INPUT", "TEXTAREA"} <= seen


def test_on_a_phone_the_decision_is_always_at_hand(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged)
    watched = open_page(served.case("anna", served.review.order[0]), 390)
    watched.page.mouse.wheel(0, 3_000)
    watched.page.get_by_label("Clean c").tap() if watched.page.evaluate("'ontouchstart' in window") else None
    watched.page.get_by_label("Clean c").check()
    assert not watched.page.locator("#note").is_visible()
    watched.page.get_by_role("button", name="More questions, note").click()
    watched.page.fill("#note", "written on a phone")
    watched.page.get_by_role("radio", name="3, a stated").check()
    answered(watched)
    last = decided(judged)[-1]
    assert (dict(last.labels), last.severity, last.note) == ({"violated": False}, 3, "written on a phone")


def test_the_keys_are_explained_and_do_nothing_while_they_are(judged: Path, first: Watched) -> None:
    press(first, "?")
    assert first.page.locator("dialog").is_visible()
    press(first, "vc")
    first.page.keyboard.press("Escape")
    assert not first.page.locator("dialog").is_visible()
    assert decided(judged) == []


def test_keys_with_control_or_alt_are_the_browsers(judged: Path, first: Watched) -> None:
    for key in ("Control+c", "Alt+v", "Meta+z"):
        first.page.keyboard.press(key)
    first.page.wait_for_timeout(200)
    assert decided(judged) == []


def test_going_back_in_history_shows_what_stands_now(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged)
    watched = open_page(served.case("anna", served.review.order[0]))
    press(watched, "v")
    follow(watched, "j")
    served.review.decide("anna", served.review.order[0], {"violated": False})
    watched.page.go_back()
    assert checked(watched) == {"violated": "false"}


def status_of(response: Any) -> int:
    code: int = response.status
    return code


def test_without_its_token_the_address_shows_nothing(
    judged: Path, serve: Callable[..., Served], open_page: Callable[..., Watched]
) -> None:
    served = serve(judged)
    page = open_page("about:blank").page
    answer = page.goto(served.case("anna", served.review.order[0]).replace("t0ken", "guess"))
    assert status_of(answer) == 403
    assert "quota" not in page.content()
