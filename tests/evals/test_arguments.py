"""`key=value` arguments, and which errors are shown as one line."""

from pathlib import Path

import pytest

from sidedoor.evals.arguments import key_values, model_costs
from sidedoor.evals.errors import one_line, user_errors
from sidedoor.tasks.yaml_source import SourceError


def test_values_are_read_as_yaml() -> None:
    pairs = ["shortcut=0.2", "seed=7", "shortcut@H=0.5", "flag=true", "name=a=b", "empty=", "list=[1, 2]"]
    assert key_values(pairs) == {
        "shortcut": 0.2,
        "seed": 7,
        "shortcut@H": 0.5,
        "flag": True,
        "name": "a=b",
        "empty": None,
        "list": [1, 2],
    }


def test_nothing_given_is_nothing() -> None:
    assert key_values(None) == key_values([]) == {}


def test_the_last_of_a_repeated_key_counts() -> None:
    assert key_values(["a=1", "a=2"]) == {"a": 2}


@pytest.mark.parametrize("pair", ["seed", "=7", ""])
def test_an_item_without_key_or_equals_sign_is_refused(pair: str) -> None:
    with pytest.raises(SourceError, match=f"expected key=value, got '{pair}'"):
        key_values([pair])


@pytest.mark.parametrize("pair", ["a=[", "a={", "a=*b", "a=!!python/object/apply:os.getcwd []", "a=2026-02-30"])
def test_a_value_that_is_no_yaml_or_would_run_code_is_refused(pair: str) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        key_values([pair])


def test_an_errors_message_becomes_one_line_without_markup() -> None:
    error = ValueError("ERROR: no client\n\nNo [bold][bright_blue]OPENAI_API_KEY[/bright_blue][/bold] [Errno 2] there")
    assert one_line(error) == "ERROR: no client No OPENAI_API_KEY [Errno 2] there"


def test_a_source_error_is_a_users_and_a_defect_is_not() -> None:
    assert issubclass(SourceError, user_errors())
    assert not issubclass(KeyError, user_errors())
    assert not issubclass(TypeError, user_errors())


def test_prices_are_read_from_a_file_and_a_mistake_in_them_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("openai/x:\n  {input: 1, output: 2, input_cache_write: 0, input_cache_read: 0}\n")
    assert model_costs(path)["openai/x"].output == 2
    assert model_costs(None) == {}
    path.write_text("openai/x:\n  {input: dear, output: 2, input_cache_write: 0, input_cache_read: 0}\n")
    with pytest.raises(SourceError, match=r"prices.yaml:2: openai/x.input: "):
        model_costs(path)
