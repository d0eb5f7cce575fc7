"""One QEMU: started, with OVMF or without firmware of its own, listened to, asked questions, and never left behind.

The serial console writes to a file: a socket or pipe whose reader is late makes QEMU's UART drop
characters. It reads from a pipe, and QMP is an inherited socket pair: no names, no races.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Iterator

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

# isa-debug-exit ends QEMU with (value << 1) | 1; the kernels write 0x10 when all is well and 0x11
# when not. 0 is what a triple fault leaves under -no-reboot, so it never means success.
EXIT_GOOD = 33
EXIT_BAD = 35

SECONDS = 60.0

# What OVMF's boot manager says when what it started returns an error.
GAVE_UP = "BdsDxe: failed to start Boot0001"

DISPLAYS = {
    "none": [],
    "VGA": ["-device", "VGA"],
    "ramfb": ["-device", "ramfb"],
    "virtio-gpu": ["-device", "virtio-gpu-pci"],
    "VGA and virtio-gpu": ["-device", "VGA", "-device", "virtio-gpu-pci"],
}

# What terminals obey and logs should not show: CSI sequences.
_ESCAPES = re.compile(r"\x1b\[[=?0-9;]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00\x07\x08]")


class Failure(Exception):
    """A case has failed; the text says what was seen and what was expected."""


@dataclass(frozen=True)
class Hardware:
    """What the guest is made of.

    With `shared` the host can read its memory; with `console` it has the debug console at port
    0xE9, whose output is the file console.log. Without OVMF it is QEMU itself that starts a kernel
    (-kernel).
    """

    memory: str = "256M"
    cpu: str = "max"
    display: str = "none"
    shared: bool = False
    serial: bool = True
    console: bool = False
    ovmf: bool = True
    processors: int = 1
    machine: str = "q35"  # and its options
    devices: tuple[str, ...] = ()
    tables: tuple[tuple[str, bytes], ...] = ()  # of ACPI: signature, and what follows the header

    def _tables(self, folder: Path) -> Iterator[str]:
        for signature, content in self.tables:
            file = folder / f"{signature}.bin"
            file.write_bytes(content)
            yield from ("-acpitable", f"sig={signature},data={str(file).replace(',', ',,')}")

    def arguments(self, ram: int, folder: Path) -> list[str]:
        """QEMU's words for it; `ram` is the file descriptor that backs shared memory.

        reserve=off: 64 GiB are promised, a few hundred MiB touched.
        """
        backend = f"id=ram,size={self.memory}"
        if self.shared:
            backend = f"memory-backend-file,{backend},share=on,mem-path=/proc/self/fd/{ram}"
        else:
            backend = f"memory-backend-ram,{backend},reserve=off"
        devices = [word for device in self.devices for word in ("-device", device)]
        return ["-machine", f"{self.machine},memory-backend=ram", "-object", backend,
                "-m", self.memory, "-cpu", self.cpu, "-smp", str(self.processors),
                *DISPLAYS[self.display], *devices, *self._tables(folder), *self._ports()]

    def _ports(self) -> list[str]:
        arguments = ["-serial", "chardev:serial"] if self.serial else []
        if self.console:
            arguments += ["-chardev", "file,id=console,path=console.log",
                          "-device", "isa-debugcon,iobase=0xe9,chardev=console"]
        return arguments


def plain(raw: bytes) -> str:
    """Serial output as text, without escape sequences and carriage returns."""
    return _ESCAPES.sub("", raw.decode("latin-1")).replace("\r", "")


def squashed(text: str) -> str:
    """Without white space: the firmware breaks long lines wherever its console ends."""
    return "".join(text.split())


class Machine:
    """A running QEMU; use as a context manager, which kills it at the end of the block."""

    _alive: set[Machine] = set()

    def __init__(self, folder: Path, hardware: Hardware, media: list[str],
                 seconds: float = SECONDS) -> None:
        self.folder = folder
        self.hardware = hardware
        self.text = ""  # the serial console's output so far
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._raw = b""
        self._seen = 0  # characters that expect() has passed, white space not counted
        self._negotiated = False
        self._answers = b""
        # Memory without a file system: what a guest writes must not end up on a disk.
        self.ram = os.memfd_create("guest-ram")
        self._qmp, end = socket.socketpair()
        with end:
            self._process = self._start(hardware, media, end)
        self._log = open(folder / "serial.log", "rb")

    def _start(self, hardware: Hardware, media: list[str],
               qmp: socket.socket) -> subprocess.Popen[bytes]:
        # TCG by name: KVM may be there and yet unable to run firmware, and results must not
        # depend on where the tests run.
        command = [
            "qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-display", "none",
            "-nic", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            *(self._flash() if hardware.ovmf else []),
            "-chardev", "stdio,id=serial,signal=off",
            "-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "chardev=qmp,mode=control",
            *hardware.arguments(self.ram, self.folder), *media]
        (self.folder / "command").write_text("\n".join(command) + "\n", encoding="utf-8")
        with open(self.folder / "serial.log", "wb") as serial, \
                open(self.folder / "qemu.log", "wb") as log:
            return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=serial,
                                    stderr=log, pass_fds=(qmp.fileno(), self.ram))

    def _flash(self) -> list[str]:
        """OVMF, and a copy of its variables for this machine alone."""
        variables = self.folder / "vars.fd"
        shutil.copyfile(VARIABLES, variables)
        flash = "if=pflash,format=raw,unit"
        return ["-drive", f"{flash}=0,readonly=on,file={FIRMWARE}",
                "-drive", f"{flash}=1,file={variables}"]

    @classmethod
    def kill_all(cls) -> None:
        """Ends every QEMU of this program; whoever waits for one sees it end."""
        for machine in list(cls._alive):
            machine._process.kill()

    def __enter__(self) -> Machine:
        self._alive.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._alive.discard(self)
        if self._process.stdin:
            self._process.stdin.close()
        self._read()
        self._log.close()
        self._qmp.close()
        os.close(self.ram)
        (self.folder / "vars.fd").unlink(missing_ok=True)

    def _read(self) -> None:
        """Takes what the guest has written since."""
        news = self._log.read()
        if news:
            self._raw += news
            self.text = plain(self._raw)

    def _wait(self, doing: str) -> None:
        """A short wait for news; fails at the deadline and when QEMU is gone."""
        code = self._process.poll()
        if code is not None:
            raise Failure(f"QEMU ended with {code} {doing}")
        if time.monotonic() > self._deadline:
            raise Failure(f"nothing more within {self._seconds:.0f} s {doing}")
        time.sleep(0.02)

    def expect(self, *texts: str) -> str:
        """Waits until one of the texts comes after what was expected before; returns it.

        White space does not count, since the firmware's console may break lines.
        """
        doing = "waiting for " + " or ".join(repr(text) for text in texts)
        while True:
            running = self._process.poll() is None
            self._read()
            so_far = squashed(self.text)
            places = [(so_far.find(squashed(text), self._seen), text) for text in texts]
            found = min(((at, text) for at, text in places if at >= 0), default=None)
            if found:
                self._seen = found[0] + len(squashed(found[1]))
                return found[1]
            if running:
                self._wait(doing)
            else:
                raise Failure(f"QEMU ended with {self._process.returncode} {doing}")

    def console(self) -> str:
        """What has come to the debug console at port 0xE9."""
        path = self.folder / "console.log"
        return path.read_text(encoding="latin-1") if path.exists() else ""

    def expect_console(self, text: str) -> str:
        """Waits until the debug console has the text; returns all of its output.

        A guest that resets may end QEMU at the same time.
        """
        while text not in (said := self.console()):
            if self._process.poll() is not None and text not in self.console():
                raise Failure(f"QEMU ended with {self._process.returncode} waiting for {text!r} "
                              f"on port 0xE9, which has {self.console()!r}")
            self._read()
            if GAVE_UP in self.text:
                raise Failure("hoist returned to the firmware, expected a boot")
            if self._process.poll() is None:
                self._wait(f"waiting for {text!r} on port 0xE9, which has {said!r}")
        return said

    def type(self, text: str) -> None:
        """Types on the serial console."""
        if self._process.stdin:
            self._process.stdin.write(text.encode("ascii"))
            self._process.stdin.flush()

    def exit_code(self) -> int:
        """Waits for the end of QEMU; fails early if the firmware says that hoist gave up."""
        before = len(self.text)
        while self._process.poll() is None:
            self._wait("waiting for its end")
            self._read()
            if GAVE_UP in self.text[before:]:
                raise Failure("hoist returned to the firmware, expected a boot")
        self._read()
        return self._process.returncode

    def qmp(self, command: str, **arguments: object) -> object:
        """Executes a QMP command; the first call negotiates."""
        if not self._negotiated:
            self._negotiated = True
            self._execute("qmp_capabilities", {})
        return self._execute(command, arguments)

    def _execute(self, command: str, arguments: dict[str, object]) -> object:
        request = {"execute": command, "arguments": arguments}
        self._qmp.settimeout(max(self._deadline - time.monotonic(), 0.1))
        try:
            self._qmp.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = json.loads(self._answer())
                if "error" in answer:
                    raise Failure(f"QEMU refuses {command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise Failure(f"QEMU does not answer {command}: {error}") from error

    def _answer(self) -> bytes:
        """The next line from QMP, an event or an answer."""
        while b"\n" not in self._answers:
            news = self._qmp.recv(1 << 16)
            if not news:
                raise ConnectionError("it has ended")
            self._answers += news
        line, _, self._answers = self._answers.partition(b"\n")
        return line

    def monitor(self, line: str) -> str:
        """What the human monitor answers."""
        answer = self.qmp("human-monitor-command", **{"command-line": line})
        return str(answer).replace("\r", "")

    def press(self, key: str) -> None:
        """Presses a key of the guest's keyboard."""
        self.qmp("send-key", keys=[{"type": "qcode", "data": key}])
