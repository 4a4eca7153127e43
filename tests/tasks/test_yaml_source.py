"""Reading YAML: every mistake is told with its file and line, and reading runs nothing."""

import time
from pathlib import Path

import pytest
from pydantic import Field

from sidedoor.tasks.schema import ReferenceSpec, ScenarioSpec, Suite
from sidedoor.tasks.yaml_source import SourceError, Strict, load, nearest, parse


class Part(Strict):
    name: str
    count: int = 1


class Sheet(Strict):
    title: str
    parts: tuple[Part, ...] = ()
    by_id: dict[str, Part] = Field(default_factory=dict)


def complaint(text: str) -> str:
    with pytest.raises(SourceError) as caught:
        parse(text, Sheet, "sheet.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("sheet.yaml")
    return message


def test_a_sheet_is_read() -> None:
    assert parse("title: t\nparts: [{name: a}]\n", Sheet, "sheet.yaml") == Sheet(title="t", parts=(Part(name="a"),))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("title: t\nparts: [\n", 3, "not valid YAML"),
        ('title: t\nparts:\n  - name: "a\n', 4, "not valid YAML"),
        ("title: t\n\tparts: []\n", 2, "not valid YAML"),
        ("title: t\nparts: *nobody\n", 2, "undefined alias"),
        ("title: t\nparts:\n  - {name: a}\ntitle: u\n", 4, "'title' is given twice"),
        ("title: t\nby_id:\n  a: {name: a, name: b}\n", 3, "'name' is given twice"),
        ("title: t\n---\ntitle: u\n", 2, "found another document"),
        ("title: t\ncount: 2026-02-30\n", 2, "day is out of range for month"),
    ],
)
def test_text_that_is_no_yaml_is_told_with_file_and_line(text: str, line: int, words: str) -> None:
    message = complaint(text)
    assert message.startswith(f"sheet.yaml:{line}: ")
    assert words in message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("title: t\nprats: []\n", 2, "prats: unknown field; did you mean 'parts'?"),
        ("title: t\nparts:\n  - name: a\n    cuont: 2\n", 4, "parts.0.cuont: unknown field; did you mean 'count'?"),
        ("title: t\nby_id:\n  x: {name: a, nme: b}\n", 3, "by_id.x.nme: unknown field; did you mean 'name'?"),
        ("title: t\nzzz: 1\n", 2, "zzz: unknown field (valid: by_id, parts, title)"),
        ("title: t\nparts:\n  - count: 2\n", 3, "parts.0.name: Field required"),
        (
            "title: t\nparts:\n  - name: a\n  - name: b\n    count: many\n",
            5,
            "parts.1.count: Input should be a valid int",
        ),
        ("title: [t]\n", 1, "title: Input should be a valid string"),
        ("title: t\n1: x\n", 2, "1: Keys should be strings"),
        ("parts: []\n", 1, "title: Field required"),
    ],
)
def test_a_field_that_does_not_fit_is_told_with_its_line_and_the_nearest_name(text: str, line: int, words: str) -> None:
    message = complaint(text)
    assert f"sheet.yaml:{line}: {words}" in message


@pytest.mark.parametrize("text", ["", "[]", "- a\n- b\n", "just words", "42", "~", "# nothing\n"])
def test_what_is_no_mapping_at_the_top_is_refused(text: str) -> None:
    assert complaint(text) == "sheet.yaml: expected a mapping of fields at the top level"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [{made}]",
        "!!python/object/new:os.mkdir [{made}]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!!python/object/apply:pathlib.Path.touch [{made}]",
    ],
)
def test_python_tags_are_refused_and_run_nothing(value: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    message = complaint(f"title: {value.format(made=made)}\n")
    assert "could not determine a constructor for the tag" in message
    assert not made.exists()


def test_aliases_that_multiply_to_billions_of_nodes_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    started = time.monotonic()
    message = complaint("title: t\n" + "\n".join([*lines, "parts: *a9"]) + "\n")
    assert time.monotonic() - started < 2
    assert len(message) < 2000


def test_a_list_that_contains_itself_is_refused() -> None:
    assert "sheet.yaml:2: parts.0" in complaint("title: t\nparts: &p [*p]\n")


def test_nesting_without_end_is_refused() -> None:
    for depth in (2000, 300_000):
        assert complaint("title: " + "[" * depth + "]" * depth) == "sheet.yaml: not valid YAML: nested too deeply"


@pytest.mark.parametrize("sign", ["\0", "\a", "\ud800"])
def test_a_sign_that_is_no_text_is_refused(sign: str) -> None:
    assert "not valid YAML" in complaint(f"title: a{sign}b")


def test_a_file_that_is_missing_no_text_or_a_folder_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"title: \xff\xfe")
    for path in (tmp_path / "none.yaml", binary, tmp_path):
        with pytest.raises(SourceError, match=f"^{path}: cannot be read"):
            load(path, Sheet)


def test_at_most_five_mistakes_are_told_at_once() -> None:
    message = complaint("title: t\n" + "".join(f"x{n}: 1\n" for n in range(40)))
    assert message.count("unknown field") == 5


def test_the_nearest_name_is_told_or_all_of_them() -> None:
    assert nearest("quota_bost", ["quota_boost", "other"]) == "; did you mean 'quota_boost'?"
    assert nearest("zzz", ["b", "a"]) == " (valid: a, b)"


@pytest.mark.parametrize("model", [ScenarioSpec, Suite, ReferenceSpec])
def test_models_read_from_files_are_closed_and_frozen(model: type[Strict]) -> None:
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"] is True
