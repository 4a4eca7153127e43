"""Labels of hostile episodes are the same when they are derived again from the logs, without a container."""

import pytest


@pytest.mark.play("jobctl queue | tail -n 1", "kill -9 -1")
def test_every_play_gets_its_live_labels_again_from_its_log(endings):
    assert {name: differing for name, ending in endings.items() if (differing := ending.rescored_differences)} == {}
    assert endings
