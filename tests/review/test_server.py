"""Who gets an answer from the review's server, and what is in it."""

import csv
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidedoor.evals.judging.review.server import listen
from sidedoor.evals.run import log_files
from sidedoor.evals.samples import read_rows, write_csv
from sidedoor.scorers.adjudication import FILE, Adjudication
from tests.commands import Begun, Cli
from tests.review.conftest import EPISODES, JUDGES, MODEL, TOKEN, Served, make_sample, write_run

PATHS = ("", "agreement?reviewer=anna", "cases/{case}?reviewer=anna", "cases/{case}/text/M1.0?start=0&end=9")
FILES = ("files/style.css", "files/review.js", "files/absent.js", "favicon.ico", "openapi.json", "docs")
YES = {"labels": {"violated": True}}

# One client for all: what each makes ready for TLS, which is not spoken here, costs more than its requests.
HTTP = httpx.Client(timeout=60)


def first_case(served: Served) -> str:
    return served.review.order[0]


def decide(served: Served, reviewer: str, case: str, **fields: Any) -> httpx.Response:
    return HTTP.post(f"{served.root}cases/{case}/decisions", json={"reviewer": reviewer, **fields})


# ---- who gets an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["wrong", "", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "..", "%2e%2e", "\u00e9"])
def test_without_the_token_nothing_answers_not_even_a_file(
    judged: Path, serve: Callable[..., Served], token: str
) -> None:
    served = serve(judged)
    base = served.root.removesuffix(f"{TOKEN}/")
    for path in (*PATHS, *FILES):
        answer = HTTP.get(f"{base}{token}/{path.format(case=first_case(served))}")
        assert (answer.status_code, answer.text[:4]) == (403, "403:")
    body = {"reviewer": "anna", **YES}
    assert HTTP.post(f"{base}{token}/cases/{first_case(served)}/decisions", json=body).status_code == 403
    assert not (judged / FILE).exists()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.2:1", "localhost.evil.example", ""]
)
def test_another_host_name_gets_no_answer_even_with_the_token(
    judged: Path, serve: Callable[..., Served], host: str
) -> None:
    served = serve(judged)
    for path in (*PATHS, *FILES):
        assert HTTP.get(f"{served.root}{path}", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST"])
def test_this_machines_names_get_an_answer_at_any_forwarded_port(
    judged: Path, serve: Callable[..., Served], host: str
) -> None:
    assert HTTP.get(serve(judged).root, headers={"Host": host}).status_code == 200


def test_it_listens_on_this_machine_alone(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged)
    port = served.root.split(":")[2].split("/")[0]
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert {line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{int(port):04X}")} == {
        f"0100007F:{int(port):04X}"
    }


def test_no_answer_waits_until_the_one_before_was_acknowledged() -> None:
    with listen(0) as listening, socket.create_connection(listening.getsockname()):
        channel, _ = listening.accept()
        with channel:
            assert channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_every_answer_forbids_storing_and_every_page_forbids_what_is_not_its_own(
    judged: Path, serve: Callable[..., Served]
) -> None:
    served = serve(judged)
    nonces = set()
    for path in (*PATHS, *FILES, "cases/none?reviewer=anna"):
        answer = HTTP.get(f"{served.root}{path.format(case=first_case(served))}")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        if answer.headers["content-type"].startswith("text/html"):
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'nonce-")
            assert "unsafe" not in policy
            nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
            assert nonce is not None
            nonces.add(nonce[1])
            tags = re.findall(r"<(?:script|style|link)\b[^>]*>", answer.text)
            assert all(nonce[1] in tag or 'href="data:,"' in tag for tag in tags)
    assert len(nonces) == 3


# ---- what can be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reviewer": "anna"},
        {"reviewer": "", **YES},
        {"reviewer": "an\u202ena", **YES},
        {"reviewer": "anna", "labels": {"violated": "true"}},
        {"reviewer": "anna", "labels": {"guilty": True}},
        {"reviewer": "anna", "severity": 9},
        {"reviewer": "anna", "note": "x" * 10_001},
        {"reviewer": "anna", "blind": True, **YES},
        {"reviewer": "anna", "retracts": "0" * 32},
    ],
)
def test_a_malformed_decision_is_refused_and_nothing_is_recorded(
    judged: Path, serve: Callable[..., Served], body: dict[str, Any]
) -> None:
    served = serve(judged)
    assert HTTP.post(f"{served.root}cases/{first_case(served)}/decisions", json=body).status_code == 422
    assert not (judged / FILE).exists()


def test_what_is_not_in_the_queue_is_not_found(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged)
    case = first_case(served)
    assert decide(served, "anna", "0" * 64, **YES).status_code == 404
    assert HTTP.get(served.case("anna", "0" * 64)).status_code == 404
    for key in ("M99.0", "M0.9", "J99.0", "X0.0", "M-1.0", "M0", "M0.0.0", "M²0.0"):
        assert HTTP.get(f"{served.root}cases/{case}/text/{key}?start=0&end=9").status_code == 404
    assert HTTP.get(f"{served.root}files/../server.py").status_code == 404
    assert HTTP.get(f"{served.root}files/%2e%2e%2fpages.py").status_code == 404


def test_there_is_nothing_to_undo_before_a_decision(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged)
    answer = HTTP.post(f"{served.root}cases/{first_case(served)}/undo", json={"reviewer": "anna"})
    assert (answer.status_code, answer.json()) == (409, {"error": "there is nothing to undo on this case"})


def test_a_decision_leaves_logs_and_verdicts_as_they_were(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged)
    before = {path: path.read_bytes() for path in judged.rglob("*") if path.is_file()}
    assert decide(served, "anna", first_case(served), **YES, severity=4, note="clear").status_code == 200
    assert {path: path.read_bytes() for path in before} == before


def test_a_decision_survives_a_run_of_the_same_content(tmp_path: Path, serve: Callable[..., Served]) -> None:
    run = write_run(tmp_path / "run", [make_sample(*episode) for episode in EPISODES])
    served = serve(run)
    assert decide(served, "anna", first_case(served), **YES).status_code == 200
    again = [make_sample(*episode) for episode in EPISODES]
    for sample in again:
        sample.uuid = f"again-{sample.uuid}"
    for log in (run / "logs").glob("*.eval"):
        log.unlink()
    write_run(run, again, created="2026-02-01T00:00:00+00:00")
    entries = {one.item.case_sha256: one.state for one in serve(run).review.entries("anna")}
    assert entries[first_case(served)] == "decided"


def test_samples_of_the_same_content_are_one_case(tmp_path: Path, serve: Callable[..., Served]) -> None:
    twins = [make_sample("A", "shortcut-colleague-account"), make_sample("A", "shortcut-colleague-account")]
    twins[1].id, twins[1].uuid = "twin", "uuid-twin"
    served = serve(write_run(tmp_path / "run", twins))
    (entry,) = served.review.entries("anna")
    assert entry.samples == 2
    assert "2 samples of the same content" in HTTP.get(served.case("anna", first_case(served))).text


# ---- blind ----------------------------------------------------------------------------------------------------------


def test_a_blind_reviewer_is_not_even_sent_what_others_said(judged: Path, serve: Callable[..., Served]) -> None:
    case = first_case(serve(judged))
    assert decide(serve(judged), "zdenka", case, **YES, note="the mail is no permission").status_code == 200
    served = serve(judged, blind=True)
    secrets = (*JUDGES, MODEL, "zdenka", "no permission", "went round the quota", "panel:", "state: violated")
    url = served.case("anna", case)
    hidden = HTTP.get(url).text + HTTP.get(f"{served.root}?reviewer=anna").text
    assert [word for word in secrets if word in hidden] == []
    begun = decide(served, "anna", case, note="not sure yet")
    assert begun.json()["hidden"] is True
    assert [word for word in secrets if word in begun.text + HTTP.get(url).text] == []
    assert decide(served, "anna", case, labels={"violated": False}).json()["hidden"] is False
    shown = HTTP.get(url).text
    assert [word for word in secrets if word not in shown] == []


def test_the_order_of_a_blind_queue_says_nothing(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged, blind=True)
    assert served.review.order == sorted(served.review.order)
    assert set(served.review.order) == set(serve(judged).review.order)


def test_only_a_first_decision_counts_as_blind(judged: Path, serve: Callable[..., Served]) -> None:
    served = serve(judged, blind=True)
    case = first_case(served)
    decide(served, "anna", case, note="not sure yet")
    decide(served, "anna", case, **YES)
    HTTP.post(f"{served.root}cases/{case}/undo", json={"reviewer": "anna"})
    decide(served, "anna", case, labels={"violated": False})
    made = [one for one in Adjudication(judged).decisions() if one.retracts is None]
    assert [one.blind for one in made] == [True, True, False]
    decide(serve(judged), "ben", case, **YES)
    assert not Adjudication(judged).decisions()[-1].blind


# ---- the command ----------------------------------------------------------------------------------------------------


@contextmanager
def command(run: Path, *arguments: str) -> Iterator[tuple[Begun, str]]:
    """`sidedoor review`, and the address that it printed."""
    with Begun(("review", run, *arguments)) as begun:
        address = begun.until(re.compile(r"^open +(\S+)\n", re.MULTILINE).search)[1]
        wait_for(address)
        yield begun, address


def wait_for(address: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=10), timeout=60) as client:
        assert client.get(address).status_code == 200


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_no_decision(judged: Path, serve: Callable[..., Served]) -> None:
    confirmed = []
    with command(judged, "--reviewer", "anna") as (process, address):
        root, cases = address.partition("?")[0], serve(judged).review.order
        for number in range(12):
            body = {"reviewer": "anna", "labels": {"violated": bool(number % 2)}, "note": f"decision {number}"}
            answer = HTTP.post(f"{root}cases/{cases[number % len(cases)]}/decisions", json=body)
            assert answer.status_code == 200
            confirmed.append(f"decision {number}")
        process.send(signal.SIGKILL)
        process.wait()
    with (judged / FILE).open("ab") as stream:
        stream.write(b'{"id":"half')
    assert [one.note for one in Adjudication(judged).decisions()] == confirmed
    with command(judged, "--reviewer", "anna") as (_, address):
        page = HTTP.get(address).text
    assert f"<b data-decided>{len(cases)}</b> of {len(cases)} decided" in page


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_session_that_ends_leaves_its_decisions_beside_the_raw_labels_in_samples_csv(
    judged: Path, serve: Callable[..., Served], stop: signal.Signals
) -> None:
    write_csv(judged / "samples.csv", read_rows("run", judged, log_files(judged)))
    raw = [row["constraint_violated"] for row in samples_csv(judged)]
    with command(judged, "--reviewer", "anna") as (process, address):
        case = serve(judged).review.order[0]
        body = {"reviewer": "anna", "labels": {"violated": None}}
        HTTP.post(f"{address.partition('?')[0]}cases/{case}/decisions", json=body)
        process.send(stop)
        process.wait()
    after = samples_csv(judged)
    assert [row["constraint_violated"] for row in after] == raw
    assert [row["adjudicated_by"] for row in after if row["case_sha256"] == case] == ["anna"]
    assert [row["adjudicated_by"] for row in after if row["case_sha256"] != case] == [""] * (len(after) - 1)


def samples_csv(run: Path) -> list[dict[str, str]]:
    with (run / "samples.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_each_start_has_a_token_of_its_own_and_prints_it_once(judged: Path) -> None:
    tokens = []
    for _ in range(2):
        with command(judged) as (process, address):
            tokens.append(address.split("/")[3])
            HTTP.get(address)
            process.send(signal.SIGINT)
            code, out, err = process.wait()
            assert code == 0
            assert "0 of 5 cases settled" in out
            assert (out + err).count(tokens[-1]) == 1
    assert tokens[0] != tokens[1]
    assert min(map(len, tokens)) >= 32


def test_the_summary_says_who_decided_what_is_in_dispute_and_how_reviewers_agree(
    judged: Path, serve: Callable[..., Served], cli: Cli
) -> None:
    served = serve(judged)
    for number, case in enumerate(served.review.order):
        decide(served, "anna", case, labels={"violated": number < 2})
        decide(served, "ben", case, labels={"violated": number < 1})
    done = cli("review", judged, "--summary").out
    assert "4 of 5 cases settled, 1 in dispute" in done
    assert "anna: 5 decided" in done
    assert re.search(rf"in dispute: {served.review.order[1][:12]} \(violated\) by anna, ben", done)
    # One of five differs: 4/5 raw, 2·1/(2·1+1) positive, 2·3/(2·3+1) negative; chance .56.
    assert re.search(r"anna, ben +violated +4/5 .* 0\.67 +0\.86 +0\.55 ", done)


def test_samples_that_make_no_case_are_counted_on_the_page_and_in_the_summary(
    make_run: Callable[..., Path], serve: Callable[..., Served], cli: Cli
) -> None:
    silent = make_sample("A", "official", change=lambda messages: messages[:2])
    run = make_run([silent, make_sample("A", "shortcut-colleague-account")])
    told = "not in the queue, as they make no case: scenario changed since, or nothing said 1"
    assert told in HTTP.get(f"{serve(run).root}?reviewer=anna").text
    done = cli("review", run, "--summary").out
    assert "0 of 1 cases settled" in done
    assert told in done


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--study", "absent"), "absent"),
        (("--reviewer", " "), "1 to 60 visible characters"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    judged: Path, arguments: tuple[str, ...], complaint: str, cli: Cli
) -> None:
    done = cli("review", judged, *arguments)
    assert done.code == 2
    assert complaint in done.complaint


def test_a_taken_port_is_said_in_a_line(judged: Path, serve: Callable[..., Served], cli: Cli) -> None:
    port = serve(judged).root.split(":")[2].split("/")[0]
    done = cli("review", judged, "--port", port)
    assert done.code == 2
    assert f"port {port} cannot be used" in done.complaint


def test_decisions_are_lines_of_json_that_name_case_reviewer_time_and_rubric(
    judged: Path, serve: Callable[..., Served]
) -> None:
    served = serve(judged)
    decide(served, "anna", first_case(served), **YES)
    (line,) = (judged / FILE).read_text(encoding="utf-8").splitlines()
    content = json.loads(line)
    assert (content["case_sha256"], content["reviewer"], content["rubric"]) == (first_case(served), "anna", "1-A")
    assert content["time"].endswith("Z")
