"""How the outcome of a boot is judged. Each verdict drives one machine and raises Failure."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Callable

import oracle
from qemu import EXIT_BAD, EXIT_GOOD, GAVE_UP, Failure, Machine, squashed

Verdict = Callable[[Machine], None]

# A judge with fewer sentences than this has not looked at what it should.
LEAST_SENTENCES = 20

# What the UEFI shell calls success in %lasterror%.
SHELL_SUCCESS = "0x0"

# hoist waits for a key when the boot manager started it, ten seconds at most (and a virtual
# machine's clock may lag a little).
LONGEST_PAUSE = 14.0


def _check_judge(text: str) -> None:
    """The judge's last line, against the lines before it."""
    bad = re.findall(r"^not ok - .*$", text, re.M)
    if bad:
        raise Failure("\n".join(bad))
    good = len(re.findall(r"^ok - ", text, re.M))
    total = re.findall(r"^judge: (\d+) passed, (\d+) failed$", text, re.M)
    if total != [(str(good), "0")]:
        raise Failure(f"the judge's total is {total}, after {good} sentences that hold")
    if good < LEAST_SENTENCES:
        raise Failure(f"the judge says {good} sentences, expected {LEAST_SENTENCES} or more")


def judged(machine: Machine) -> None:
    """The judge kernel finds nothing wrong and leaves QEMU with success."""
    code = machine.exit_code()
    if code == EXIT_BAD:
        _check_judge(machine.text)
    _check_code(code)
    _check_judge(machine.text)


def _check_code(code: int) -> None:
    if code != EXIT_GOOD:
        raise Failure(f"QEMU ended with {code}, expected {EXIT_GOOD} (0 is a reset)")


def judged_after(words: str) -> Verdict:
    """As judged(), and hoist has said these words before."""
    def verdict(machine: Machine) -> None:
        judged(machine)
        if squashed(words) not in squashed(machine.text):
            raise Failure(f"hoist did not say {words!r}")
    return verdict


def said(words: str) -> Verdict:
    """A kernel that goes on for ever says this; the machine is stopped then."""
    def verdict(machine: Machine) -> None:
        machine.expect(words)
    return verdict


def examined(largest: int) -> Verdict:
    """The judge kernel finds nothing wrong, and neither does the oracle outside."""
    def verdict(machine: Machine) -> None:
        machine.expect("@waiting")
        _check_judge(machine.text)
        oracle.compare(machine, largest)
    return verdict


def quiet(machine: Machine) -> None:
    """All local sources of the APIC are masked but LINT1, and no interrupt is on its way."""
    machine.expect("@waiting")
    _check_judge(machine.text)
    state = machine.monitor("info lapic")
    entries = dict(re.findall(r"^(LVT\w+)\s+0x([0-9a-f]{8})", state, re.M))
    if set(entries) != {"LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT"}:
        raise Failure(f"'info lapic' shows {sorted(entries)}")
    masked = {name for name, value in entries.items() if int(value, 16) & 0x10000}
    if masked != set(entries) - {"LVT1"} or not re.search(r"^IRR\s+\(none\)", state, re.M):
        raise Failure(f"masked are {sorted(masked)}: {state}")


def shown(*words: str) -> Verdict:
    """The demo kernel prints all of the words and leaves QEMU with success."""
    def verdict(machine: Machine) -> None:
        _check_code(machine.exit_code())
        _check_words(machine.text, *words)
    return verdict


def shown_partition(*words: str) -> Verdict:
    """As shown(), and one of the words is the GUID of the partition on the disk image."""
    def verdict(machine: Machine) -> None:
        # The unique GUID of the first partition: entry 0 of the table in LBA 2, bytes 16 to 31
        # (UEFI 2.10, table 5-7).
        image = (machine.folder / "disk.img").read_bytes()
        shown(str(uuid.UUID(bytes_le=image[2 * 512 + 16:2 * 512 + 32])), *words)(machine)
    return verdict


def _check_words(text: str, *words: str) -> None:
    missing = [word for word in words if squashed(word) not in squashed(text)]
    if missing:
        raise Failure(f"not printed: {', '.join(repr(word) for word in missing)}")


def _picture(path: Path) -> tuple[int, int, bytes]:
    """Width, height and RGB bytes of a binary PPM file."""
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", path.read_bytes())
    if not head:
        raise Failure("QEMU's screendump is not a PPM picture")
    return int(head[1]), int(head[2]), path.read_bytes()[head.end():]


def pictured(words: tuple[str, ...], size: tuple[int, int] | None, rows: int) -> Verdict:
    """The demo kernel prints the words, and its lines are on the screen.

    `size` in pixels, if it matters; at least `rows` rows of 16 pixels must hold something.
    """
    def verdict(machine: Machine) -> None:
        machine.expect(words[-1])
        _check_words(machine.text, *words)
        time.sleep(0.5)  # serial and screen are two devices; the line may not be drawn yet
        machine.qmp("stop")
        path = machine.folder / "screen.ppm"
        machine.qmp("screendump", filename=str(path))
        width, height, pixels = _picture(path)
        if size and (width, height) != size:
            raise Failure(f"the screen has {width}x{height} pixels, expected {size[0]}x{size[1]}")
        used = _rows_used(width, height, pixels)
        if used < rows:
            raise Failure(f"{used} rows of the screen hold something, expected {rows} or more")
    return verdict


def _rows_used(width: int, height: int, pixels: bytes) -> int:
    """How many rows of 16 pixels are not of one colour."""
    row = width * 3 * 16
    used = 0
    for start in range(0, height * width * 3, row):
        part = pixels[start:start + row]
        used += part != part[:3] * (len(part) // 3)
    return used


def refused(*words: str, key: bool = True) -> Verdict:
    """hoist says why in one line and returns to the boot manager with an error.

    A key ends its pause; without one the pause ends by itself.
    """
    def verdict(machine: Machine) -> None:
        machine.expect("hoist:")
        if machine.expect(words[-1], GAVE_UP) == GAVE_UP:
            raise Failure(f"not printed: {words[-1]!r}")
        start = time.monotonic()
        time.sleep(0.5)  # so that the key comes when it waits
        if key:
            machine.press("ret")
        machine.expect(GAVE_UP)
        took = time.monotonic() - start
        _check_refusal(machine.text, *words)
        if not key and not 2.0 < took < LONGEST_PAUSE:
            raise Failure(f"hoist waited {took:.1f} s for a key, expected at most 10")
        if key and took > 5.0:
            raise Failure(f"hoist went on {took:.1f} s after the error, expected at the key")
    return verdict


def _check_refusal(text: str, *words: str) -> None:
    """One line has all the words, and the form that every refusal has."""
    lines = re.findall(r"^hoist: .+: .+ is .+, expected .+$", text, re.M)
    if not any(all(word in line for word in words) for line in lines):
        raise Failure(f"no refusal says {' and '.join(map(repr, words))}: {lines}")


class Shell:
    """The firmware's shell on the serial console."""

    def __init__(self, machine: Machine, volume: str = "fs0") -> None:
        self.machine = machine
        self._prompt = f"{volume.upper()}:\\>"
        machine.expect("Press ESC")
        machine.type("\x1b")
        machine.expect("Shell>")
        self.run(f"{volume}:")

    def send(self, line: str) -> None:
        """Types a line."""
        self.machine.type(line + "\r")

    def run(self, line: str) -> str:
        """Runs a command; returns what it printed, once the prompt is back."""
        before = len(self.machine.text)
        self.send(line)
        self.machine.expect(self._prompt)
        return self.machine.text[before:]

    def loader_data(self) -> int:
        """Pages of EfiLoaderData: what applications have taken and not freed."""
        found = re.search(r"LoaderData:\s+([\d,]+) Pages", self.run("memmap"))
        if not found:
            raise Failure("the shell's memmap shows no total for LoaderData")
        return int(found[1].replace(",", ""))


def retried(program: str, bad: list[tuple[str, tuple[str, ...]]], good: str) -> Verdict:
    """In the shell: bad lines are refused at once and leave no trace, then a good one boots."""
    def verdict(machine: Machine) -> None:
        shell = Shell(machine)
        before = shell.loader_data()
        for options, words in bad:
            start = time.monotonic()
            _check_refusal(shell.run(f"{program} {options}"), *words)
            if time.monotonic() - start > 5.0:
                raise Failure(f"'{options}': the prompt did not come back at once")
            if f"={SHELL_SUCCESS}\n" in shell.run("echo status=%lasterror%"):
                raise Failure(f"'{options}': hoist returned success")
        after = shell.loader_data()
        if after != before:
            raise Failure(f"LoaderData has {after} pages after all refusals, {before} before")
        shell.send(f"{program} {good}")
        judged(machine)
    return verdict


def refused_then_typed(line: str, *words: str) -> Verdict:
    """The boot manager's start is refused; the shell that follows boots the judge kernel."""
    def verdict(machine: Machine) -> None:
        refused(*words)(machine)
        typed(line)(machine)
    return verdict


def typed(line: str, volume: str = "fs0") -> Verdict:
    """In the shell, with `volume` current, the line boots the judge kernel."""
    def verdict(machine: Machine) -> None:
        Shell(machine, volume).send(line)
        judged(machine)
    return verdict
