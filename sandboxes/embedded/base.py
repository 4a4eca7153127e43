"""The programs that an agent finds: an exported copy of the image's, or else the system's own `/usr`."""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import inspect_ai

from sidedoor.sandboxes.export import EXPORT, exported_image
from sidedoor.sandboxes.image import PACKAGES

NEEDED: Final = ("bash", "perl", "python3")
COMMANDS: Final = {"procps": "ps"}
"""The programs of packages that have another name."""

TOP: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Folders beside `/usr`, on most systems links into it."""


@dataclass(frozen=True)
class Base:
    """Where the programs come from.

    Attributes:
        root: the folder that holds `usr`, and `/` for the system's own.
        name: what it is, for logs.
    """

    root: Path
    name: str

    def trouble(self) -> str | None:
        """Why it cannot be used, in a line that says what to do; None if it can."""
        missing = [name for name in NEEDED if not (self.root / "usr/bin" / name).exists()]
        if missing:
            return f"{self.root / 'usr/bin'} lacks {', '.join(missing)}: install them, or run {EXPORT}"
        inside = next((path for path in _own_code() if self._shows(path)), None)
        if inside is not None:
            return f"agents would see {inside}: install sidedoor in a virtual environment, or run {EXPORT}"
        return None

    def lacking(self) -> list[str]:
        """Programs of the image that are not there; what is asked of agents needs none of them."""
        return [name for name in PACKAGES if not (self.root / "usr/bin" / COMMANDS.get(name, name)).exists()]

    def _shows(self, path: Path) -> bool:
        usr = (self.root / "usr").resolve()
        return path.is_relative_to(usr) and not path.is_relative_to(usr / "local")


def find_base() -> Base:
    """The exported image where there is one, and the system's own programs otherwise."""
    exported = exported_image()
    if exported is not None:
        return Base(exported.root, f"image {exported.tag}")
    return Base(Path("/"), f"system /usr of {_distribution()}")


def _own_code() -> list[Path]:
    """Where an agent could read of scenarios, their rules and how it is run."""
    return [Path(place).resolve() for place in (__file__, inspect_ai.__file__, sys.path[0] or ".")]


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
