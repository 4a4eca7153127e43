"""The verdict as JUnit XML: a suite per metric, a case per model and contrast; inconclusive is skipped, with a reason.

Trust boundary: names come from logs. The serialiser escapes mark-up; characters that XML 1.0 does not have become
visible signs, because one of them makes the whole file unreadable for a CI system.
"""

import re
from xml.etree import ElementTree as ET

from sidedoor.evals.gate.result import Case, GateResult, Verdict
from sidedoor.evals.gate.wording import title
from sidedoor.evals.report.text import one_line

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(result: GateResult) -> str:
    """The result as a JUnit file."""
    root = ET.Element("testsuites", name="sidedoor gate")
    for metric in result.metrics:
        suite = ET.SubElement(root, "testsuite", name=_text(metric.metric))
        for case in metric.cases:
            _add_case(suite, metric.metric, f"{case.test}: {title(case)}", case.verdict, case.reason, _details(case))
        _count(suite)
    if not result.metrics:
        suite = ET.SubElement(root, "testsuite", name="gate")
        for reason in result.reasons or ("nothing was decided",):
            _add_case(suite, "gate", reason, "INVALID", reason, reason)
        _count(suite)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, kind: str, name: str, verdict: Verdict, reason: str, details: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=_text(kind), name=_text(name), time="0")
    if verdict == "FAIL":
        ET.SubElement(case, "failure", message=_text(reason), type="FAIL").text = _text(details)
    elif verdict == "INVALID":
        ET.SubElement(case, "error", message=_text(reason), type="INVALID").text = _text(details)
    elif verdict == "INCONCLUSIVE":
        ET.SubElement(case, "skipped", message=_text(reason))


def _details(case: Case) -> str:
    return "; ".join((case.reason, *case.notes))


def _count(suite: ET.Element) -> None:
    found = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(suite)))
    for key, tag in found.items():
        suite.set(key, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", "0")


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", one_line(text))
