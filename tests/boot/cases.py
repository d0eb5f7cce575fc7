"""The boot matrix: every boot that the tests try, as a table of named cases."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

import verdict
import words
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


def _adoption(build: Build) -> Iterator[Case]:
    """A kernel that goes on with hoist's tables, by the library that built them."""
    for cpu, memory in (("max", "4G"), ("max,nx=off", "256M"), ("core2duo", "256M")):
        yield Case(f"adoption: memory {memory}, cpu {cpu}", verdict.judged,
                   build.volume("adopt", cmdline()), Hardware(memory, cpu))
    yield Case("adoption: no identity map", verdict.judged,
               build.volume("adopt", cmdline(), "identity = off"))


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


_KERNEL, _ABSENT = "0xffffffff80[0-9a-f]{6}", "0x0: not present"
_NULL = words.Told("fault 14 .page fault. error 0x0 at rip " + _KERNEL + " cr2 0x0$",
                   "level [12]: entry 0 .* is " + _ABSENT)

# what the kernel does -> what hoist says, and how the walk of CR2 ends
FAULTS = {
    "invalid": words.Told(f"fault 6 .invalid opcode. error 0x0 at rip {_KERNEL} cr2 0x0", _ABSENT),
    "null": _NULL,
    "text": words.Told(f"fault 14 .* error 0x3 at rip {_KERNEL} cr2 {_KERNEL}",
                       "level 1: .* page r-x"),
    "data": words.Told(rf"fault 14 .* error 0x11 at rip ({_KERNEL}) cr2 \1",
                       "level 1: .* page rw-"),
    "divide": words.Told(f"fault 0 .divide error. error 0x0 at rip {_KERNEL} ", _ABSENT),
    # Pages below and above the stack are not mapped; the stack of the report is another.
    "stack": words.Told(f"fault 14 .* error 0x2 at rip {_KERNEL} cr2 0xffffffff00000ff8",
                        "level 1: entry 0 .* is " + _ABSENT),
    "noncanonical": words.Told("fault 13 .general protection. error 0x0 at rip 0x8000000000000000",
                               _ABSENT),
    # Vector 0x80 of an IDT that ends before it. The processor says the vector times 8, plus 2 (SDM
    # 3A 6.13); QEMU's, times 16.
    "software": words.Told(f"fault 13 .* error 0x[48]02 at rip {_KERNEL} ", _ABSENT),
    "double": words.Told(f"fault 8 .double fault. error 0x0 at rip {_KERNEL} cr2 0x0$", _ABSENT),
    "tables": words.Told(f"fault 14 .* at rip {_KERNEL} cr2 0x10000000010",
                         "level 3: entry 0 at 0xfff0000000: cannot be read"),
    "own-tables": words.Told(f"fault 14 .* error 0x0 at rip {_KERNEL} cr2 0x0",
                             "level 4: entry 0 at 0x[0-9a-f]+: cannot be read", screen=False),
}


def _words(build: Build) -> Iterator[Case]:
    """Faults before the kernel has an IDT, and what is said about them."""
    pc = Hardware(display="VGA", console=True)
    for word, told in FAULTS.items():
        for identity in ("on", "off"):
            yield Case(f"fault: {word}, identity map {identity}", told,
                       build.volume("fault", f"cmdline = {word}", f"identity = {identity}"), pc)
    null = build.volume("fault", "cmdline = null")
    yield Case("fault: reset as configured", replace(_NULL, reset=True),
               build.volume("fault", "cmdline = null", "on-fault = reset"), pc)
    yield Case("fault: no UART", _NULL, null, replace(pc, serial=False))
    yield Case("fault: no display", replace(_NULL, screen=False), null, replace(pc, display="none"))
    yield Case("fault: the framebuffer lies in memory", _NULL, null, replace(pc, display="ramfb"))
    yield Case("fault: an old processor", replace(_NULL, end="level 1"), null,
               replace(pc, cpu="core2duo"))
    yield Case("fault: an NMI", words.after_nmi(words.Told("fault 2 .NMI.", _ABSENT)),
               build.volume("fault", "cmdline = wait"), pc)
    fault = words.Told("fault 6 .invalid opcode. error 0x0 at rip 0x[0-9a-f]{1,9} ", "")
    yield Case("fault: last instruction before CR3 is loaded", fault,
               null | {IMAGE: words.faulting_before_cr3(build.hoist)}, pc)
    for identity in ("on", "off"):
        yield Case(f"fault: first after CR3 is loaded, identity map {identity}", fault,
                   build.volume("fault", f"identity = {identity}")
                   | {IMAGE: words.faulting_after_cr3(build.hoist)}, pc)
    yield Case("interrupt controllers are quiet", verdict.quiet,
               build.volume("judge", cmdline("wait")))
    yield Case("the order in which the switch writes control registers", words.traced,
               build.volume("fault", "cmdline = null", r"module = \boot\large.bin")
               | {"boot/large.bin": bytes(40 * MIB)}, pc)


def _high(build: Build) -> Iterator[Case]:
    """A machine on which nothing is free below 4 GiB when hoist starts."""
    module = {"boot/first.bin": module_bytes(0, 5000)}
    high = {IMAGE: build.folder / "test-efi" / "high.efi", "hoist.efi": build.hoist}
    pc = Hardware("8G", display="VGA", console=True)

    def volume(kernel: str, *lines: str) -> Files:
        return build.volume(kernel, *lines, config="hoist.conf") | high

    for kernel in ("judge", "judge-noid"):
        yield Case(f"above 4 GiB: {kernel}",
                   verdict.judged_after("pages below 4 GiB are taken"),
                   volume(kernel, cmdline("expect-high", "expect-module=1"),
                          r"module = \boot\first.bin") | module, pc)
    yield Case("above 4 GiB: oracle", verdict.examined(GIB),
               volume("judge", cmdline("expect-high", "dump", "wait")),
               Hardware("8G", display="VGA", shared=True))
    for identity in ("on", "off"):
        told = words.Told(_NULL.fault, "level [1-3]: entry 0 .* is " + _ABSENT)
        yield Case(f"above 4 GiB: fault, identity map {identity}", told,
                   volume("fault", "cmdline = null", f"identity = {identity}"), pc)
    yield Case("above 4 GiB: fault before CR3 is loaded",
               words.Told("fault 6 .* at rip 0x[0-9a-f]{9} ", ""),
               volume("fault") | {"hoist.efi": words.faulting_before_cr3(build.hoist)}, pc)


def all_cases(build: Build) -> list[Case]:
    """The whole matrix; names are unique."""
    groups = (_retries, _oracle, _processors, _hardware, _media, _shell, _displays, _kernels,
              _adoption, _refusals, _words, _high)
    return [case for group in groups for case in group(build)]


def boot(case: Case, build: Build, folder: Path) -> Machine:
    """Starts the machine of a case; `folder` takes its media and logs."""
    media = attach(case.medium, case.files, folder)
    if case.options is not None:
        media += start_directly(build.hoist, case.options)
    if case.second_volume:
        media += attach_empty(folder / "empty")
    return Machine(folder, case.hardware, media, case.seconds)
