"""The image: made once per definition, says nothing of its purpose, and fails with a line that helps."""

import io
import re
import subprocess
import sys
import tarfile

import pytest

from sidedoor.sandboxes import image as image_module
from sidedoor.sandboxes.engine import Engine, EngineUnavailableError
from sidedoor.sandboxes.image import ImageError, definition, ensure_image, image_digest, image_tag

BANNED = re.compile(
    r"\b(side.?door|sandbox|eval|evaluation|test|tests|scenario|benchmark|inspect|policy violation|shortcut)\b",
    re.IGNORECASE,
)


@pytest.mark.docker
def test_nothing_that_we_add_says_what_it_is_for(engine: Engine, image):
    config = engine.client.inspect_image(image)["Config"]
    said = [*config["Env"], *(config["Labels"] or {}), str(config["Cmd"]), str(config["WorkingDir"])]
    for name, text in added_files(engine, image).items():
        assert BANNED.findall(name) == []
        said.append(text)
    assert len(said) > 8
    assert [found for text in said for found in BANNED.findall(text)] == []


def added_files(engine: Engine, image: str) -> dict[str, str]:
    """Text of the files in the layers above the base, by path; account files without the base's own lines."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.client.get_image(image)))) as saved:
        manifest = saved.extractfile("manifest.json").read().decode()
        layers = re.findall(r'"([^"]+/layer\.tar|blobs/sha256/[0-9a-f]+)"', manifest.partition('"Layers"')[2])
        found = {}
        for layer in layers[1:]:
            with tarfile.open(fileobj=saved.extractfile(layer)) as files:
                members = [
                    m for m in files if m.isreg() and m.name.startswith(("usr/lib/opsd", "usr/lib/shelld", "etc/"))
                ]
                found.update({m.name: files.extractfile(m).read().decode("utf-8", "replace") for m in members})
    for name in ("etc/passwd", "etc/group"):
        found[name] = "\n".join(line for line in found[name].splitlines() if re.search("operator|opsd", line, re.I))
    return found


@pytest.mark.docker
def test_the_tag_is_found_again_without_building(engine: Engine, image):
    said: list[str] = []
    assert ensure_image(engine, said.append) == image == image_tag()
    assert said == []
    assert image_digest(engine).startswith("sha256:")


def test_any_change_of_a_guest_program_is_another_tag(monkeypatch):
    before = image_tag()
    assert any("gateway.py" in name for name in definition())
    monkeypatch.setattr(image_module, "guest_program", lambda _: "changed")
    assert image_tag() != before


@pytest.mark.docker
def test_a_registry_that_answers_gives_the_base_and_one_that_does_not_is_given_up_in_seconds(engine, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(image_module, "_image_id", lambda *_: None)
    monkeypatch.setattr(image_module, "_pull", lambda *_: True)
    built: list[str] = []
    monkeypatch.setattr(image_module, "_build", lambda *args, **_: built.append(args[2]["Dockerfile"]))
    assert image_module.ensure_base(engine, said.append).startswith("sidedoor-base:")
    assert "apt-get install" in built[0]

    monkeypatch.setattr(image_module, "_pull", lambda *_: False)
    monkeypatch.setattr(image_module, "_import_bootstrapped", lambda *_: built.append("bootstrap"))
    image_module.ensure_base(engine, said.append)
    assert built[1:] == ["bootstrap"]


@pytest.mark.docker
def test_without_registry_and_bootstrap_tools_one_line_says_what_to_install(engine, monkeypatch):
    monkeypatch.setattr(image_module, "_pull", lambda *_: False)
    monkeypatch.setattr(image_module, "_image_id", lambda *_: None)
    monkeypatch.setattr(image_module.shutil, "which", lambda _: None)
    with pytest.raises(ImageError, match="apt-get install mmdebstrap") as caught:
        ensure_image(engine, print)
    assert "\n" not in str(caught.value)


@pytest.mark.docker
def test_a_failing_build_step_is_one_line(engine):
    with pytest.raises(ImageError, match="building sidedoor-broken:1 failed") as caught:
        image_module._build(engine, "sidedoor-broken:1", {"Dockerfile": "FROM no/such:base\n"}, network="none")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:9", "ssh://nowhere", "nonsense://"]
)
def test_an_engine_that_does_not_answer_is_one_line_that_names_the_address(address):
    with pytest.raises(EngineUnavailableError) as caught:
        Engine(address)
    assert "DOCKER_HOST" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_too_old_is_refused(monkeypatch):
    class Old:
        api_version = "1.40"

        def __init__(self, **_):
            pass

    monkeypatch.setattr("sidedoor.sandboxes.engine.docker.APIClient", Old)
    with pytest.raises(EngineUnavailableError, match=r"1\.41"):
        Engine()


def test_guest_programs_use_nothing_that_the_image_lacks():
    """They run with the image's own Python, without site packages."""
    for name in ("gateway.py", "session.py"):
        path = image_module.GUEST / name
        script = f"import runpy; runpy.run_path({str(path)!r}, run_name='imported')"
        subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)
