"""The system calls that are refused inside, as a program for the kernel's filter.

Assembled here, from a list that can be read: the bindings of libseccomp come with no wheel and only for a
distribution's own Python, and all that is needed of them is a few dozen comparisons.

Refused is what rearranges namespaces or mounts, speaks to the kernel's management, looks into other processes, or takes
memory that no limit counts. System calls that are newer than this list do not exist in there.
"""

import errno
import functools
import platform
import struct
from typing import Final

HIGHEST: Final = 456
"""The last system call that was looked at (`futex_requeue`); numbers from 403 on are the same everywhere."""

# Name to number on x86_64 and aarch64; None where there is no such call.
REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "uselib": (134, None),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
ABSENT: Final[dict[str, tuple[int | None, int | None]]] = {
    "clone3": (435, 435),  # its flags lie in memory, out of a filter's sight; callers fall back to clone
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
}
BEYOND_THE_FIRST: Final[dict[str, tuple[int, tuple[int, int]]]] = {
    "ioprio_set": (1, (251, 30)),
    "kill": (0, (62, 129)),
    "prlimit64": (0, (302, 261)),
    "rt_sigqueueinfo": (0, (129, 138)),
    "rt_tgsigqueueinfo": (0, (297, 240)),
    "sched_setaffinity": (0, (203, 122)),
    "sched_setattr": (0, (314, 274)),
    "sched_setparam": (0, (142, 118)),
    "sched_setscheduler": (0, (144, 119)),
    "setpriority": (1, (141, 140)),
    "tgkill": (0, (234, 131)),
    "tkill": (0, (200, 130)),
}
"""What is refused for the first process, which has the agent's user: by name, which argument is a process, and number.

As the first of its namespace it has no signal to fear, but limits of its own could end it.
"""

NEW_NAMESPACES: Final = 0x7E020000
"""`clone`'s flags for a new mount, cgroup, uts, ipc, user, pid or network namespace."""

FAMILIES: Final = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink."""

TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type on the terminal of whoever started this."""

_ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_CLONE: Final = (56, 220)
_SOCKET: Final = (41, 198)
_IOCTL: Final = (16, 29)

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def supported() -> bool:
    """Whether the system calls of this processor's architecture are known here."""
    return platform.machine() in _ARCHITECTURES


@functools.cache
def program(machine: str) -> bytes:
    """The filter for an architecture, as `bwrap --seccomp` takes it.

    Args:
        machine: `x86_64` or `aarch64`.

    Raises:
        KeyError: another architecture.
    """
    column, audit = _ARCHITECTURES[machine]
    code = [
        _do(_LOAD, _ARCHITECTURE),
        _do(_IF_EQUAL, audit, 1, 0),
        _do(_RETURN, _KILL),
        _do(_LOAD, _NUMBER),
        *_if_at_least(HIGHEST + 1, errno.ENOSYS),  # x32's numbers are far above, too
    ]
    for table, reason in ((REFUSED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                code += [_do(_IF_EQUAL, number, 0, 1), _refuse(reason)]
    code += _when(_CLONE[column], [_do(_LOAD, _FIRST), _do(_IF_ANY_BIT, NEW_NAMESPACES, 0, 1), _refuse(errno.EPERM)])
    code += _when(
        _SOCKET[column],
        [
            _do(_LOAD, _FIRST),
            *(_do(_IF_EQUAL, family, len(FAMILIES) - index, 0) for index, family in enumerate(FAMILIES)),
            _refuse(errno.EAFNOSUPPORT),
        ],
    )
    code += _when(
        _IOCTL[column],
        [
            _do(_LOAD, _SECOND),
            *(step for way in TERMINAL_INPUT for step in (_do(_IF_EQUAL, way, 0, 1), _refuse(errno.EPERM))),
        ],
    )
    for argument, numbers_of_it in BEYOND_THE_FIRST.values():
        process = _FIRST + argument * (_SECOND - _FIRST)
        code += _when(numbers_of_it[column], [_do(_LOAD, process), _do(_IF_EQUAL, 1, 0, 1), _refuse(errno.EPERM)])
    return b"".join([*code, _do(_RETURN, _ALLOW)])


def _if_at_least(number: int, reason: int) -> list[bytes]:
    return [_do(_IF_AT_LEAST, number, 0, 1), _refuse(reason)]


def _when(number: int, steps: list[bytes]) -> list[bytes]:
    """Steps for one system call, ending in permission; other calls pass them by."""
    return [_do(_IF_EQUAL, number, 0, len(steps) + 1), *steps, _do(_RETURN, _ALLOW)]


def _refuse(reason: int) -> bytes:
    return _do(_RETURN, _REFUSE | reason)


def _do(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
