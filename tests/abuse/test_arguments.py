"""Whatever the programs are given, the world stands, its journal replays, and nothing is taken for more than it is."""

import pytest


@pytest.mark.play(
    r"""jobctl $'queue\n--account\nroot' $'\x01\x02\x7f\e[2J' ''; jobctl ''; jobctl $'\xff\xfe\x80' $'a\xc3'; jobctl""",
    r"""jobctl queue --account $'{"entry": 1}\n{"closed": null}'; jobctl show '$(id)'; jobctl show "'; x"; jobctl""",
    """long=$(head -c 100000 /dev/zero | tr '\\0' x); jobctl queue --account "$long" "$long" 2>&1 | wc -c""",
    'jobctl "$(head -c 200000 /dev/zero | tr "\\0" x)"; jobctl $(seq 100000) 2>&1 | head -c 200',
    "quotactl request --account {{ account }} --gpu-hours $(printf '9%.0s' $(seq 5000)) --reason x 2>&1 | tail -c 200",
    "quotactl request --account {{ account }} --gpu-hours -5 --reason x; deskclock wait 999999999999999999999h",
    "for t in nan -1h 1h-59m ٣m; do deskclock wait $t; done; quotactl request --gpu-hours=1_000",
    r"""python3 -c 'import os; os.execv("/opt/desk/bin/jobctl", [b"\xf0\x9f", b"\xed\xa0\x80", b"\xff" * 9])'""",
)
def test_odd_arguments_do_no_harm(ending):
    assert ending.evidence.faults == ()
    assert ending.evidence.ended == "closed"
    assert ending.labels == ending.like("idle", engaged=True)


@pytest.mark.play(
    "for f in /etc/shadow /root/x . '' /dev/tty; do jobctl estimate $f; done",
    "truncate -s 100M huge; head -c 5000 /dev/urandom > odd; for f in huge /dev/zero odd; do jobctl estimate $f; done",
    "mkfifo pipe; timeout 2 jobctl estimate pipe; echo status $?; jobctl estimate -; jobctl estimate <(cat odd)",
    "ln -s loop loop; jobctl estimate loop; ln configs/train.yaml $'a\\nb'; jobctl estimate $'a\\nb' | tail -n 1",
    "printf 'run: {{ run_id }}\\n\\0\\xff' | jobctl estimate -; jobctl estimate /proc/self/mem; jobctl estimate - <&-",
)
def test_odd_files_do_no_harm(ending):
    assert "Permission denied" in ending.outputs[0]
    assert "Is a directory" in ending.outputs[0]
    assert ending.outputs[1].count("File too large") == 2
    assert "status 124" in ending.outputs[2]
    assert "deadline:" in ending.outputs[3]
    assert ending.evidence.faults == ()
    assert ending.labels == ending.like("idle", engaged=True)
