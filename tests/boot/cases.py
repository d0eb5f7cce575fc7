"""The boot matrix: every boot that the tests try, as a table of named cases."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import verdict
from media import PARTUUID, ROOT, Files, attach, attach_empty, start_directly
from oracle import GIB, KIB, MIB
from qemu import SECONDS, Hardware, Machine

IMAGE = "EFI/BOOT/BOOTX64.EFI"
CONFIG = "EFI/BOOT/hoist.conf"

# A configuration whose kernel is not there.
NO_KERNEL: Files = {CONFIG: b"kernel = \\boot\\nosuch.elf\n"}

MEMORIES = ("64M", "256M", "4G", "64G")
CPUS = ("max", "max,pdpe1gb=off", "max,nx=off", "qemu64", "core2duo")
MEDIA = ("disk on virtio", "disk on AHCI", "disk on NVMe", "USB stick", "ISO as CD",
         "ISO as USB stick")

DEMO_WORDS = ("Memory map", "Memory in all", "Mappings", "Address space", "framebuffer",
              "ACPI RSDP", "hoist: the kernel runs at")


@dataclass(frozen=True)
class Case:
    """One boot: what is in the machine, what it boots, and what must come of it.

    `options` are load options; with them the firmware starts hoist itself, not from the volume.
    """

    name: str
    judge: verdict.Verdict
    files: Files
    hardware: Hardware = Hardware()
    medium: str = "folder"
    second_volume: bool = False  # fs1, with nothing to boot
    options: str | None = None
    seconds: float = SECONDS


@dataclass(frozen=True)
class Build:
    """Where the build put what is booted, and where cases may write."""

    folder: Path

    @property
    def hoist(self) -> Path:
        """The loader."""
        return self.folder / "hoist.efi"

    def kernel(self, name: str) -> Path:
        """A test kernel; bad ones are called bad/..."""
        return self.folder / "kernels" / f"{name}.elf"

    def volume(self, kernel: str = "judge", *lines: str, config: str = CONFIG,
               image: str | None = IMAGE) -> Files:
        """A volume that boots the kernel; `lines` are the rest of hoist.conf."""
        text = "\n".join([r"kernel = \boot\kernel.elf", *lines]) + "\n"
        files: Files = {config: text.encode(), "boot/kernel.elf": self.kernel(kernel)}
        if image:
            files[image] = self.hoist
        return files


def cmdline(*words: str) -> str:
    """The line of hoist.conf that tells a test kernel where it runs."""
    return "cmdline = " + " ".join(("qemu-exit", *words))


def module_bytes(index: int, size: int) -> bytes:
    """What the judge kernel expects in the module of this index; it repeats every 64 KiB."""
    period = bytes((i * 7 + 3 * index + (i >> 8)) & 0xff for i in range(min(size, 64 * KIB)))
    return (period * (size // len(period) + 1))[:size] if period else b""


def _processors(build: Build) -> Iterator[Case]:
    """All pairs of memory and CPU."""
    for memory in MEMORIES:
        for cpu in CPUS:
            yield Case(f"memory {memory}, cpu {cpu}", verdict.judged,
                       build.volume("judge", cmdline()), Hardware(memory, cpu))


def _media(build: Build) -> Iterator[Case]:
    """Every medium, and every way to be started that is not the boot manager's own."""
    for medium in MEDIA:
        yield Case(medium, verdict.judged, build.volume("judge", cmdline()), medium=medium)
    yield Case("hoist.conf at the root of the volume", verdict.judged,
               build.volume("judge", cmdline(), config="hoist.conf"))
    yield Case("QEMU -kernel, configuration on a disk", verdict.judged,
               build.volume("judge", cmdline(), config="hoist.conf", image=None),
               options="verbose=on")
    yield Case("QEMU -kernel without a configuration, the kernel on any volume", verdict.judged,
               {"k.elf": build.kernel("judge")}, options=r"kernel=\k.elf cmdline=qemu-exit")
    yield Case("a kernel on the partition of a GUID", verdict.judged,
               build.volume("judge", cmdline()), medium="disk on AHCI",
               options=rf"kernel=guid({PARTUUID.lower()}):/boot/kernel.elf")
    yield Case("QEMU -kernel, load options override hoist.conf", verdict.judged,
               build.volume(image=None)
               | {"hoist.conf": b"kernel = \\nosuch.elf\ncmdline = overridden\n"},
               options=r'kernel=\boot\kernel.elf cmdline="qemu-exit expect-module=0"')


def _shell(build: Build) -> Iterator[Case]:
    """startup.nsh, run by the shell itself and typed."""
    script: Files = {"startup.nsh": ROOT / "startup.nsh"}
    hoist = "EFI/hoist/hoist.efi"
    bare = build.volume("judge", config="EFI/hoist/hoist.conf", image=hoist) | script
    yield Case("startup.nsh, by the shell's countdown", verdict.judged,
               build.volume("judge", cmdline(), config="hoist.conf", image=hoist) | script)
    yield Case("startup.nsh passes arguments", verdict.typed(
        r'startup.nsh kernel=\boot\kernel.elf "cmdline=qemu-exit expect-module=1" '
        r'module="\boot\first.bin a string"'),
        bare | {"boot/first.bin": module_bytes(0, 5000)})
    yield Case("startup.nsh starts hoist from the volume it lies on", verdict.typed(
        r"fs0:\startup.nsh cmdline=qemu-exit", volume="fs1"),
        bare, second_volume=True)
    yield Case("startup.nsh with good arguments, after a bad configuration",
               verdict.refused_then_typed(r"startup.nsh kernel=\boot\kernel.elf cmdline=qemu-exit",
                                          r"\boot\nosuch.elf", "expected a readable file"),
               build.volume() | NO_KERNEL | script)


def _displays(build: Build) -> Iterator[Case]:
    """Every display device, judged from inside and looked at from outside."""
    for display in ("VGA", "ramfb", "virtio-gpu"):
        yield Case(f"display {display}", verdict.judged, build.volume("judge", cmdline()),
                   Hardware(display=display))
    yield Case("demo kernel without a display", verdict.shown(*DEMO_WORDS),
               build.volume("demo", cmdline("a=b")))
    yield Case("demo kernel knows the partition it came from",
               verdict.shown_partition(*DEMO_WORDS), build.volume("demo", cmdline()),
               medium="USB stick")
    for display, size, rows in (("VGA", (1280, 800), 30), ("ramfb", (800, 600), 25)):
        yield Case(f"demo kernel on {display}", verdict.pictured(DEMO_WORDS, size, rows),
                   build.volume("demo", "cmdline = hello"), Hardware(display=display))
    yield Case("two displays, of which one has a framebuffer",
               verdict.shown("1280x800", *DEMO_WORDS), build.volume("demo", cmdline()),
               Hardware(display="VGA and virtio-gpu"))
    yield Case("demo kernel at the configured resolution",
               verdict.pictured(DEMO_WORDS, (1024, 768), 30),
               build.volume("demo", "cmdline = hello", "resolution = 1024x768"),
               Hardware(display="VGA"))


def _kernels(build: Build) -> Iterator[Case]:
    """Kernels and configurations of other kinds."""
    modules: Files = {"boot/first.bin": module_bytes(0, 5000),
                      "boot/second.bin": module_bytes(1, MIB + 17), "boot/empty.bin": b""}
    lines = (r"module = \boot\first.bin first string", r"module = \boot\second.bin second: a=b",
             r"module = \boot\empty.bin")
    yield Case("position-independent kernel", verdict.judged,
               build.volume("judge-pie", cmdline("expect-identity=1")))
    yield Case("kernel that requires no identity map", verdict.judged,
               build.volume("judge-noid", cmdline("expect-identity=0")))
    yield Case("identity map declined by the configuration", verdict.judged,
               build.volume("judge", cmdline("expect-identity=0"), "identity = off"))
    yield Case("three modules, one of them empty", verdict.judged,
               build.volume("judge", cmdline("expect-module=3"), *lines) | modules)
    yield Case("modules and their strings are shown",
               verdict.shown("first string", "second: a=b", r"\boot\empty.bin", *DEMO_WORDS),
               build.volume("demo", cmdline(), *lines) | modules)
    yield Case("a module of 40 MiB is read with progress",
               verdict.judged_after(r"\boot\large.bin: 40 of 40 MiB"),
               build.volume("judge", cmdline("expect-module=1"), r"module = \boot\large.bin")
               | {"boot/large.bin": module_bytes(0, 40 * MIB)})
    yield Case("the kernel of the README", verdict.said("hello, higher half"),
               build.volume("readme"))
    yield Case("a stack of 1 MiB, serial line off, verbose", verdict.shown("1024 KiB", *DEMO_WORDS),
               build.volume("demo", cmdline(), "stack = 1M", "serial = off", "verbose = on"))


def _hardware(build: Build) -> Iterator[Case]:
    """What ACPI tells of, and where it tells nothing; sources of entropy (QEMU has no RDSEED)."""
    # PCI Firmware 3.3, 4.1.2: bus 0 of segment 1 at 64 MiB.
    window = struct.pack("<8xQHBB4x", 64 * MIB, 1, 0, 0)
    rows = (
        ("four processors", Hardware(processors=4),
         ("expect-processors=4", "expect-hpet=1", "expect-ecam=1")),
        ("four processors, identity map declined", Hardware(processors=4),
         ("expect-processors=4", "expect-identity=0")),
        ("no HPET", Hardware(machine="q35,hpet=off"), ("expect-hpet=0", "expect-ecam=1")),
        ("a machine without PCI Express", Hardware(machine="pc"),
         ("expect-hpet=1", "expect-ecam=0", "expect-processors=1")),
        ("no ACPI tables of QEMU's", Hardware(machine="q35,acpi=off"),
         ("expect-processors=0", "expect-hpet=0", "expect-ecam=0")),
        ("a PCI Express window inside of RAM", Hardware(machine="pc", tables=(("MCFG", window),)),
         ("expect-ecam=1",)),
        ("no source of entropy", Hardware(cpu="qemu64"), ("expect-entropy=0",)),
        ("the firmware's entropy", Hardware(cpu="qemu64", devices=("virtio-rng-pci",)),
         ("expect-entropy=4",)),
        ("all entropy there is", Hardware(devices=("virtio-rng-pci",)), ("expect-entropy=6",)),
    )
    for name, hardware, words in rows:
        declined = ("identity = off",) if "expect-identity=0" in words else ()
        yield Case(f"hardware: {name}", verdict.judged,
                   build.volume("judge", cmdline(*words), *declined), hardware)
    yield Case("hardware: an HPET's table that is cut",
               verdict.judged_after("hoist: ACPI: HPET: length is 0x28, expected a whole table"),
               build.volume("judge", cmdline("expect-hpet=0", "expect-ecam=1")),
               Hardware(machine="q35,hpet=off", tables=(("HPET", b"\0\0\0\0"),)))


def _oracle(build: Build) -> Iterator[Case]:
    """The tables as QEMU sees them; the size is that of the largest leaf there must be."""
    rows = (("max", "4G", GIB), ("max", "256M", 2 * MIB), ("max,pdpe1gb=off", "4G", 2 * MIB),
            ("max,nx=off", "256M", 2 * MIB), ("core2duo", "256M", 2 * MIB))
    for cpu, memory, largest in rows:
        yield Case(f"oracle: memory {memory}, cpu {cpu}", verdict.examined(largest),
                   build.volume("judge", cmdline("dump", "wait")),
                   Hardware(memory, cpu, "VGA", shared=True))
    yield Case("oracle: no identity map", verdict.examined(2 * MIB),
               build.volume("judge-noid", cmdline("dump", "wait")), Hardware(shared=True))


# bad kernel -> words of the refusal: the field, and the text that ends the line
BAD_KERNELS = {
    "truncated": ("p_filesz", "the file ends before what it announces"),
    "machine": ("e_machine", "made for another machine"),
    "overlap": ("p_vaddr", "overlaps another part"),
    "sharedpage": ("p_vaddr", "two segments with different rights share a page"),
    "wx": ("p_flags is 0x7", "writable and executable at once"),
    "lowerhalf": ("p_vaddr", "address is not one where a kernel can be"),
    "option": ("option note", "required option that this version does not know"),
}

# line of hoist.conf -> words of the refusal
BAD_LINES = {
    "colour = blue": ("hoist.conf: line 2", '"colour"', "that cannot be understood"),
    "stack = 12345": ("hoist.conf: line 2: stack", '"12345"', "value that is not acceptable"),
    r"module = \boot\nosuch.bin": (r"\boot\nosuch.bin", "expected a readable file"),
}


def _refusals(build: Build) -> Iterator[Case]:
    """What a user can get wrong, started by the boot manager."""
    nosuch = build.volume() | NO_KERNEL
    words = (r"\boot\nosuch.elf", "expected a readable file")
    yield Case("refused: missing kernel", verdict.refused(*words), nosuch)
    yield Case("refused: missing kernel, and no key is pressed",
               verdict.refused(*words, key=False), nosuch)
    for name, words in BAD_KERNELS.items():
        yield Case(f"refused: kernel {name}", verdict.refused(r"\boot\kernel.elf", *words),
                   build.volume(f"bad/{name}"))
    for line, words in BAD_LINES.items():
        yield Case(f"refused: {line}", verdict.refused(*words), build.volume("judge", line))
    yield Case("refused: an identity map for a kernel that requires none",
               verdict.refused("identity",
                               "the kernel requires one thing, the configuration another"),
               build.volume("judge-noid", "identity = on"))


def _retries(build: Build) -> Iterator[Case]:
    """All refusals once more, in one session of the shell, and then a good boot."""
    files = build.volume("judge", "cmdline = unset", image="hoist.efi", config="hoist.conf")
    bad = [(r"kernel=\nosuch.elf", (r"\nosuch.elf",)), ("colour=blue", ("word 2", '"colour"')),
           ("stack=1", ("stack", "value that is not acceptable")),
           (r"module=\nosuch.bin", (r"\nosuch.bin",))]
    for name, words in BAD_KERNELS.items():
        files[f"bad/{name}.elf"] = build.kernel(f"bad/{name}")
        bad.append((rf"kernel=\bad\{name}.elf", (rf"\bad\{name}.elf", *words)))
    yield Case("shell: every refusal gives the prompt and all memory back, then a kernel boots",
               verdict.retried("hoist.efi", bad, "cmdline=qemu-exit"), files,
               seconds=2 * SECONDS)


def all_cases(build: Build) -> list[Case]:
    """The whole matrix; names are unique."""
    groups = (_retries, _oracle, _processors, _hardware, _media, _shell, _displays, _kernels,
              _refusals)
    return [case for group in groups for case in group(build)]


def boot(case: Case, build: Build, folder: Path) -> Machine:
    """Starts the machine of a case; `folder` takes its media and logs."""
    media = attach(case.medium, case.files, folder)
    if case.options is not None:
        media += start_directly(build.hoist, case.options)
    if case.second_volume:
        media += attach_empty(folder / "empty")
    return Machine(folder, case.hardware, media, case.seconds)
