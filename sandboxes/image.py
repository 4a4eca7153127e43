"""The image that every container starts from: a plain Debian workplace.

Two images, each tagged by the hash of its definition, so that a change of either is a new tag and nothing is rebuilt
without need. The base is Debian with a few tools: pulled and completed where a registry and the package mirrors can be
reached from the engine, and otherwise bootstrapped from the distribution's packages on this machine. On top of it come
the users and the programs of `guest/`.
"""

import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from sidedoor.sandboxes.engine import Engine
from sidedoor.sandboxes.hardening import AGENT_HOME, AGENT_UID, AGENT_USER, DESK_UID
from sidedoor.sandboxes.machine import Progress

SUITE: Final = "bookworm"
PACKAGES: Final = ("file", "jq", "less", "nano", "procps", "python3", "sqlite3", "tree")
PULL_ANSWER_S: Final = 8
BUILD_STEP_S: Final = 600
BOOTSTRAP_S: Final = 900
GUEST: Final = Path(__file__).parent / "guest"

PROFILE: Final = """\
# /etc/profile: system-wide settings for login shells
PATH="/opt/desk/bin:/usr/local/bin:/usr/bin:/bin"
export PATH
if [ -n "${PS1-}" ]; then PS1='\\u@\\h:\\w\\$ '; fi
"""
SOURCES: Final = f"""\
deb http://deb.debian.org/debian {SUITE} main
deb http://deb.debian.org/debian {SUITE}-updates main
deb http://security.debian.org/debian-security {SUITE}-security main
"""
PULLED_BASE: Final = f"""\
FROM debian:{SUITE}-slim
RUN apt-get update && apt-get install -y --no-install-recommends {" ".join(PACKAGES)} \\
 && apt-get clean && rm -rf /var/lib/apt/lists/*
"""
WORKPLACE: Final = f"""\
FROM BASE
COPY rootfs/ /
RUN echo '{AGENT_USER}:x:{AGENT_UID}:{AGENT_UID}:{AGENT_USER.capitalize()}:{AGENT_HOME}:/bin/bash' >> /etc/passwd \\
 && echo '{AGENT_USER}:x:{AGENT_UID}:' >> /etc/group \\
 && echo 'opsd:x:{DESK_UID}:{DESK_UID}:Desk service:/nonexistent:/usr/sbin/nologin' >> /etc/passwd \\
 && echo 'opsd:x:{DESK_UID}:' >> /etc/group \\
 && mkdir -p {AGENT_HOME} /opt/desk \\
 && python3 -I -m compileall -q -b --invalidation-mode unchecked-hash /usr/lib/opsd /usr/lib/shelld \\
 && chown -R 0:{DESK_UID} /usr/lib/opsd && chmod 0750 /usr/lib/opsd && chmod 0640 /usr/lib/opsd/* \\
 && rm -rf /var/tmp && ln -s /tmp /var/tmp \\
 && rm -rf /etc/apt/apt.conf.d/99* /etc/apt/auth.conf* /var/log/* \\
 && find / -xdev -type f -perm /6000 -exec chmod a-s {{}} + \\
 && find / -xdev -type d -perm -0002 ! -path /tmp -exec chmod o-w {{}} +
WORKDIR {AGENT_HOME}
"""


class ImageError(RuntimeError):
    """The image could not be made; one line that says what to do."""


def definition() -> dict[str, str]:
    """Everything that the image is made from, by name; its hash is the tag."""
    rootfs = {f"rootfs{path}": text for path, text in _added_files().items()}
    return {"base": _base_definition(), "Dockerfile": WORKPLACE, **rootfs}


def image_tag() -> str:
    """The name that the image has on any engine, whether it exists yet or not."""
    return f"sidedoor-workplace:{_short_hash(definition())}"


def image_digest(engine: Engine) -> str | None:
    """The engine's content id of the image (`sha256:…`), or None if it is not built. Blocks."""
    return _image_id(engine, image_tag())


def base_tag() -> str:
    """The name of the image below, without our users and programs."""
    return f"sidedoor-base:{_short_hash(_base_definition())}"


@functools.cache
def guest_program(name: str) -> str:
    """The text of one of the programs that run inside."""
    return (GUEST / name).read_text(encoding="utf-8")


def ensure_image(engine: Engine, progress: Progress) -> str:
    """The image's tag, after building whatever is missing. Blocks; processes on one machine build it once.

    Args:
        engine: where the image is to be.
        progress: is told, in a few words, what takes time.

    Raises:
        ImageError: no base could be made, or the build failed.
    """
    tag = image_tag()
    if _image_id(engine, tag):
        return tag
    with _only_one_builder():
        if not _image_id(engine, tag):
            base = ensure_base(engine, progress)
            progress("building the workplace image")
            dockerfile = WORKPLACE.replace("FROM BASE", f"FROM {base}")
            _build(engine, tag, {**definition(), "Dockerfile": dockerfile}, network="none")
    return tag


def _added_files() -> dict[str, str]:
    """Absolute path in the image to text."""
    return {
        "/usr/lib/opsd/gateway.py": guest_program("gateway.py"),
        "/usr/lib/opsd/client.pl": guest_program("client.pl"),
        "/usr/lib/shelld/session.py": guest_program("session.py"),
        "/etc/profile": PROFILE,
        "/etc/apt/sources.list": SOURCES,
    }


def _base_definition() -> str:
    return json.dumps({"suite": SUITE, "packages": PACKAGES})


def _short_hash(value: Mapping[str, str] | str) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _image_id(engine: Engine, tag: str) -> str | None:
    try:
        return str(engine.client.inspect_image(tag)["Id"])  # type: ignore[no-untyped-call]  # types-docker has a gap
    except ImageNotFound:
        return None


@contextlib.contextmanager
def _only_one_builder() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"sidedoor-image-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- the base -----------------------------------------------------------------------------------------------------


def ensure_base(engine: Engine, progress: Progress) -> str:
    """The base's tag, after making it if it is not there. Blocks.

    Raises:
        ImageError: it could not be made.
    """
    tag = base_tag()
    if _image_id(engine, tag):
        return tag
    progress(f"asking the registry for debian:{SUITE}-slim")
    if _pull(engine):
        try:
            progress("installing the base image's packages")
            _build(engine, tag, {"Dockerfile": PULLED_BASE}, network=None)
        except ImageError as error:
            progress(f"{error}; falling back to a bootstrap")
        else:
            return tag
    _import_bootstrapped(engine, tag, progress)
    return tag


def _pull(engine: Engine) -> bool:
    """Whether the registry gave us the base; it must answer within seconds, and keep answering."""
    impatient = docker.APIClient(base_url=engine.address, version=engine.api_version, timeout=PULL_ANSWER_S)
    with contextlib.closing(impatient), contextlib.suppress(DockerException, requests.RequestException):
        for event in impatient.pull("debian", tag=f"{SUITE}-slim", stream=True, decode=True):
            if "error" in event:
                return False
        return _image_id(engine, f"debian:{SUITE}-slim") is not None
    return False


def bootstrap(folder: Path, progress: Progress) -> Path:
    """A tar archive of the base, made from the distribution's packages in an empty folder. Blocks for about a minute.

    Raises:
        ImageError: there is no tool for it, or it failed.
    """
    archive = folder / "base.tar"
    command = _bootstrap_command(folder, archive)
    progress(f"bootstrapping Debian {SUITE} with {command[0]}; this takes about a minute")
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=BOOTSTRAP_S)
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{command[0]} did not end within {BOOTSTRAP_S} s; is the package mirror slow?") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise ImageError(f"{command[0]} failed: {reason}") from error
    return archive


def _import_bootstrapped(engine: Engine, tag: str, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="sidedoor-base-") as folder:
        archive = bootstrap(Path(folder), progress)
        repository, _, version = tag.partition(":")
        try:
            engine.client.import_image_from_file(str(archive), repository=repository, tag=version)
        except (DockerException, requests.RequestException) as error:
            raise ImageError(f"the engine did not import the base image: {_line(error)}") from error


def _bootstrap_command(folder: Path, archive: Path) -> list[str]:
    include = f"--include={','.join(PACKAGES)}"
    if shutil.which("mmdebstrap"):
        return ["mmdebstrap", "--variant=minbase", include, SUITE, str(archive)]
    if shutil.which("debootstrap"):
        root = folder / "root"
        script = 'debootstrap --variant=minbase "$1" "$2" "$3" && tar -C "$3" --exclude=./dev/* -cf "$4" .'
        return ["sh", "-c", script, "debootstrap", include, SUITE, str(root), str(archive)]
    raise ImageError(
        "no registry answers and neither mmdebstrap nor debootstrap is installed: `apt-get install mmdebstrap`, "
        f"or load an image as debian:{SUITE}-slim"
    )


# ---- building -----------------------------------------------------------------------------------------------------


def _build(engine: Engine, tag: str, files: Mapping[str, str], network: str | None) -> None:
    options: dict[str, Any] = {} if network is None else {"network_mode": network}
    try:
        events = engine.client.build(
            fileobj=io.BytesIO(_context(files)),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_STEP_S,
            **options,
        )
        for event in events:
            if "error" in event:
                raise ImageError(f"building {tag} failed: {_line(event['error'])}")
    except (DockerException, requests.RequestException) as error:
        raise ImageError(f"building {tag} failed: {_line(error)}") from error


def _context(files: Mapping[str, str]) -> bytes:
    """A build context; times and owners are fixed, so that the engine's cache recognizes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
