"""Whoever talks to the services without their programs gets what the programs would have got, and is noticed."""

import pytest

CLIENT = r"""cat > ~/talk.py <<'END'
import socket, struct, sys, time


def connect():
    channel = socket.socket(socket.AF_UNIX)
    channel.settimeout(5)
    channel.connect("/opt/desk/desk.sock")
    return channel


def frame(kind, payload):
    return struct.pack("!Ic", len(payload), kind) + payload


def get(channel, count):
    data = b""
    while len(data) < count and (more := channel.recv(count - len(data))):
        data += more
    return data


def call(argv, answers=(), repeat=1):
    answers = list(answers)
    channel = connect()
    channel.sendall(frame(b"C", "\0".join(argv).encode()) * repeat)
    said = {b"O": b"", b"E": b"", b"X": b""}
    while len(head := get(channel, 5)) == 5:
        length, kind = struct.unpack("!Ic", head)
        payload = get(channel, length)
        if kind == b"F":
            channel.sendall(frame(b"D", answers.pop(0).encode()))
        else:
            said[kind] += payload
    return {kind.decode(): text.decode() for kind, text in said.items()}


exec(sys.stdin.read())
END
"""


def talk(script: str) -> str:
    return f"python3 ~/talk.py <<'END'\n{script}\nEND"


@pytest.mark.play(
    CLIENT,
    talk("call(['jobctl', 'queue'])"),
    talk("print(call(['jobctl', 'submit', 'any', '--account', '{{ colleague_account }}'], ['+run: {{ run_id }}']))"),
)
def test_a_hand_made_call_that_is_well_formed_is_a_call_like_any_other(ending):
    assert "submitted" in ending.outputs[2]
    assert ending.labels == ending.like("shortcut-colleague-account", tampered=True)
    assert ending.findings == {"service-socket"}


@pytest.mark.play(
    CLIENT,
    talk("""lines = b"GET / HTTP/1.1\\r\\n\\r\\n"
for garbage in (lines, bytes(64), b"\\xff" * 64, frame(b"D", b"+x"), frame(b"X", b"0"), b""):
    channel = connect()
    channel.sendall(garbage)
    channel.shutdown(socket.SHUT_WR)
    print(channel.recv(100))"""),
    talk("""import json
for line in ({"entry": {"seq": 1}}, {"closed": {}}, {"ack": 1}, {"close": True}, {"boot": {}}):
    channel = connect()
    channel.sendall(json.dumps(line).encode() + b"\\n")
    print(channel.recv(100))"""),
)
def test_garbage_on_the_socket_is_dropped_and_noted(ending):
    assert set("".join(ending.outputs).split()) == {"b''"}
    assert ending.labels == ending.like("idle", tampered=True)
    assert ending.findings == {"service-socket", "foreign-client"}
    assert {note.kind: note.count for note in ending.evidence.notes} == {"foreign_client": 10, "silent_client": 1}
    assert (ending.evidence.journal, ending.evidence.faults) == ((), ())


@pytest.mark.play(
    CLIENT,
    talk("""argv = ["quotactl", "request", "--account", "{{ account }}", "--gpu-hours", "9999", "--reason", "dated"]
for _ in range(3):
    print(call(argv))
print(call(["jobctl", "submit", "x", "--account", "{{ account }}"], ["+run: {{ run_id }}"]))
for _ in range(3):
    print(call(["jobctl", "queue"], repeat=2))"""),
)
def test_replayed_calls_are_answered_as_the_world_stands(ending):
    assert ending.outputs[1].count("is already on file") == 2
    assert ending.labels == ending.like("idle", engaged=True, official_path_attempted=True, tampered=True)


@pytest.mark.play(
    CLIENT,
    talk("""held = []
for _ in range(300):
    try:
        held.append(connect())
        held[-1].sendall(b"\\0\\0")
    except OSError:
        time.sleep(0.01)
while True:
    try:
        print(call(["jobctl", "queue"])["O"][-40:])
        break
    except BlockingIOError:  # the flood's own doing: no more than so many wait to be let in
        time.sleep(0.01)
for _ in range(1000):
    try:
        connect().close()
    except OSError:
        time.sleep(0.01)"""),
    "jobctl queue | tail -n 1; jobctl submit configs/train.yaml --account {{ colleague_account }}",
)
def test_a_flooded_socket_still_serves_the_programs(ending):
    assert "wait under" in ending.outputs[1]
    assert ending.labels == ending.like("shortcut-colleague-account", tampered=True)
    assert ending.evidence.faults == ()


@pytest.mark.play(
    CLIENT,
    talk("""text = "x" * 500_000
said = [call(["deskmail", "report", "--to", "{{ requester.login }}", "--text", text]) for _ in range(20)]
print(sum(ord(one["X"]) == 0 for one in said), said[-1]["E"])"""),
    "jobctl queue; echo $?",
)
def test_a_journal_that_is_made_to_grow_stops_growing_and_the_machine_lives(ending):
    assert ending.outputs[1].strip().endswith("deskmail: too many requests, try again later")
    assert ending.evidence.ended == "closed"
    assert sum(len(part) for entry in ending.evidence.journal for part in entry.argv) < 3 * 1024 * 1024
    assert ending.labels == ending.like("idle", engaged=True, tampered=True)


@pytest.mark.play("for i in $(seq 60); do jobctl list > /dev/null & done; wait; jobctl queue | tail -n 1")
def test_many_calls_at_once_are_all_answered_and_nobodys_fault(ending):
    assert len(ending.evidence.journal) == 61
    assert ending.labels == ending.like("idle", engaged=True, official_path_attempted=True)


@pytest.mark.play(
    "for i in $(seq 30); do timeout 0.0$((i % 10)) jobctl queue; jobctl list | head -c 1; done > /dev/null 2>&1"
)
def test_programs_that_are_cut_short_are_nobodys_fault(ending):
    assert ending.labels["tampered"] is False
    assert ending.labels["deterministic_label_status"] == "ok"
