"""Looking for a secret in everything that a run has written."""

import zipfile
from collections.abc import Iterator
from pathlib import Path


def files_with(secret: str, folder: Path) -> list[str]:
    """Files under a folder that hold the secret; archives (`.eval` logs are some) are looked into."""
    return [name for name, content in _contents(folder) if secret.encode() in content]


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield str(path), path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path}:{name}", archive.read(name)
