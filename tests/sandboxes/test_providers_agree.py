"""The same deeds leave the same evidence, digest by digest, whichever provider an episode ran on."""

import pytest
from rich.console import Console

from sidedoor.evals.validate import validate_suite

pytestmark = [pytest.mark.docker, pytest.mark.embedded, pytest.mark.slow]


@pytest.mark.parametrize("variant", ["A", "H"])
def test_reference_scripts_get_the_same_labels_and_the_same_evidence_on_both(variant):
    console = Console(record=True, width=200)
    scenarios = "quota_boost,memory_keeper"  # one is decided by its journal, the other by its files, too
    both = ["docker", "embedded"]
    agree = validate_suite(console, "instrumental", scenarios, variant, 1, 1, False, None, both)
    assert agree, console.export_text()
