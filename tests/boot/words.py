"""Last words: what hoist says about a fault that comes before the kernel has an IDT.

Three accounts of them are compared, port 0xE9, the serial line and the pixels of the screen, and
what they say of the page tables with what is in the guest's memory.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from media import ROOT
from qemu import Failure, Machine, plain
from verdict import Verdict

FONT_WIDTH, FONT_HEIGHT, FONT_LEFT_OUT = 8, 14, 2

HALTED = "hoist: halted\n"
READY = "ready\n"  # of the kernel fault.elf, when it waits
RESET = "hoist: the machine is reset\n"

# Everything that a report may consist of.
_HEX = "0x(?:0|[1-9a-f][0-9a-f]*)"
_FIRST = re.compile(rf"hoist: fault \d+ \([^)]+\) error {_HEX} at rip {_HEX} cr2 {_HEX}")
_SECOND = re.compile(rf"hoist: rsp {_HEX} cr3 ({_HEX}) cr4 ({_HEX})")
_STEP = re.compile(rf"hoist: cr2, level (\d): entry (\d+) at ({_HEX})(?: is ({_HEX}))?: (.+)")
_NO_STEP = "hoist: cr2: not canonical"


@dataclass(frozen=True)
class Told:
    """What must be told: words of the first line, and how the walk of CR2 ends.

    `screen`: the text is on it as well.
    """

    fault: str
    end: str
    screen: bool = True
    reset: bool = False

    def __call__(self, machine: Machine) -> None:
        last = RESET if self.reset else HALTED
        text = machine.expect_console(last).removeprefix(READY)
        _check_report(text, self, last)
        if self.reset:
            if machine.exit_code() != 0:
                raise Failure("the machine was not reset")
        else:
            _check_halted(machine)
            _check_entries(machine, text)
            if self.screen:
                _check_screen(machine, text)
        _check_serial(machine, text)


def after_nmi(told: Told) -> Verdict:
    """The same for a kernel that says it is ready, and waits: then an NMI comes."""
    def verdict(machine: Machine) -> None:
        machine.expect_console(READY)
        machine.monitor("nmi")
        told(machine)
    return verdict


def _check_report(text: str, told: Told, last: str) -> None:
    """Every line has its form, and the first and the last step are as expected."""
    lines = text.split("\n")
    second = _SECOND.fullmatch(lines[1]) if len(lines) > 4 else None
    if not second or not _FIRST.fullmatch(lines[0]) or not text.endswith(last):
        raise Failure(f"the report is {text!r}")
    if not re.search(told.fault, lines[0]):
        raise Failure(f"the report begins with {lines[0]!r}, expected {told.fault!r}")
    levels = 5 if int(second[2], 16) >> 12 & 1 else 4
    steps = lines[2:-2]
    if steps == [_NO_STEP]:
        return
    for number, line in enumerate(steps):
        step = _STEP.fullmatch(line)
        if not step or int(step[1]) != levels - number or \
                (step[5] == "table") != (number < len(steps) - 1):
            raise Failure(f"step {number} of the walk is {line!r}")
    if not re.search(told.end, steps[-1]):
        raise Failure(f"the walk ends with {steps[-1]!r}, expected {told.end!r}")


def _check_serial(machine: Machine, text: str) -> None:
    path = machine.folder / "serial.log"
    said = plain(path.read_bytes())
    wanted = text if machine.hardware.serial else ""
    if (wanted not in said) or (not wanted and said):
        raise Failure(f"the serial line has {said[-len(text) - 80:]!r}, expected {wanted!r}")


def _check_halted(machine: Machine) -> None:
    """The processor halts with interrupts off, and goes on doing so."""
    for _ in range(50):
        registers = machine.monitor("info registers")
        if "HLT=1" in registers:
            break
        time.sleep(0.1)
    flags = int(re.search(r"RFL=([0-9a-f]+)", registers)[1], 16)  # type: ignore[index]
    if "HLT=1" not in registers or flags & 0x200:
        raise Failure(f"the machine does not halt: {registers[:400]}")
    before = machine.console()
    time.sleep(0.2)
    if machine.monitor("info registers") != registers or machine.console() != before:
        raise Failure("the machine does not stay halted")


def _check_entries(machine: Machine, text: str) -> None:
    """Each entry of the walk is what the guest's memory has there, and leads to the next."""
    for step in _STEP.finditer(text):
        if step[4] is None:
            continue
        value = int(machine.monitor(f"xp /1gx {step[3]}").split(":")[1], 16)
        if value != int(step[4], 16):
            raise Failure(f"{step[0]!r}, but in memory it is {value:#x}")


def glyphs() -> list[list[int]]:
    """The font's rows, of each character from the blank on."""
    source = (ROOT / "loader" / "font.c").read_text(encoding="utf-8")
    pairs = re.findall(r"\{ 0x([0-9a-f]{16}), 0x([0-9a-f]{16}) \}", source)
    if len(pairs) != 95:
        raise Failure(f"loader/font.c has {len(pairs)} glyphs")
    return [list(bytes.fromhex(upper + lower))[FONT_LEFT_OUT:] for upper, lower in pairs]


def _rows(text: str, columns: int) -> list[str]:
    """The text as the screen breaks it."""
    rows = []
    for line in text.rstrip("\n").split("\n"):
        rows += [line[at:at + columns] for at in range(0, max(len(line), 1), columns)]
    return rows


def _line_of_pixels(row: str, line: int, font: list[list[int]], columns: int) -> bytes:
    pixels = bytearray()
    for char in row.ljust(columns):
        bits = font[ord(char) - 32][line]
        for x in range(FONT_WIDTH):
            pixels += b"\xff\xff\xff" if bits & 0x80 >> x else b"\0\0\0"
    return bytes(pixels)


def _check_screen(machine: Machine, text: str) -> None:
    """The text is at the top of the screen, to the pixel."""
    path = machine.folder / "screen.ppm"
    machine.qmp("screendump", filename=str(path))
    data = path.read_bytes()
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if not head:
        raise Failure("QEMU's screendump is not a PPM picture")
    width, pixels, font = int(head[1]), data[head.end():], glyphs()
    columns = width // FONT_WIDTH
    for number, row in enumerate(_rows(text, columns)):
        for line in range(FONT_HEIGHT):
            want = _line_of_pixels(row, line, font, columns)
            at = (number * FONT_HEIGHT + line) * width * 3
            if pixels[at:at + len(want)] != want:
                raise Failure(f"line {line} of row {number} of the screen does not show {row!r}")


# ---- images of hoist that fault themselves -----------------------------------------------------

WRMSR, LOAD_CR3 = bytes.fromhex("0f30"), bytes.fromhex("410f22dc")
STORE_BASE, LOAD_RSP = bytes.fromhex("4c891d"), bytes.fromhex("4c89ec")
UD2 = bytes.fromhex("0f0b")


def _only(image: bytes, pattern: bytes) -> int:
    if image.count(pattern) != 1:
        raise Failure(f"{pattern.hex()} is {image.count(pattern)} times in hoist.efi")
    return image.index(pattern)


def faulting_before_cr3(hoist: Path) -> bytes:
    """hoist.efi with UD2 as the last instruction in the firmware's address space."""
    image = bytearray(hoist.read_bytes())
    at = _only(bytes(image), WRMSR + LOAD_CR3)
    image[at:at + 2] = UD2
    return bytes(image)


def faulting_after_cr3(hoist: Path) -> bytes:
    """hoist.efi with UD2 as the first instruction in the kernel's, but for that of the base."""
    image = bytearray(hoist.read_bytes())
    at = _only(bytes(image), LOAD_CR3 + STORE_BASE) + len(LOAD_CR3) + 7
    if image[at:at + 3] != LOAD_RSP:
        raise Failure("no load of RSP after that of CR3")
    image[at:at + 3] = UD2 + b"\x90"
    return bytes(image)


# ---- the order of the switch ----------------------------------------------------------------------

# guard_arm(), then switch_enter(): CR4 without PGE before CR3, and each once.
ORDER = ["lgdt", "ltr", "lidt", "rax->cr2", "rax->cr8", "rax->cr0", "r10->cr4", "r12->cr3"]


def traced(machine: Machine) -> None:
    """What the processor executes in the switch, in the order in which QEMU translates it.

    The log is switched on while hoist reads a large module: what runs once is translated once.
    """
    machine.expect("large.bin: 16 of")
    machine.qmp("stop")
    machine.monitor(f"logfile {machine.folder / 'trace.log'}")
    machine.monitor("log in_asm")
    machine.qmp("cont")
    machine.expect_console(HALTED)
    machine.monitor("log none")
    trace = (machine.folder / "trace.log").read_text(encoding="latin-1")
    writes = re.findall(r"\bmovq?\s+%(r\w+), %(cr\d)|\b(lgdt|ltr|lidt)\w*\s", trace)
    found = [name or f"{register}->{control}" for register, control, name in writes]
    if found != ORDER:
        raise Failure(f"the order is {found}, expected {ORDER}")
