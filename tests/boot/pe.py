#!/usr/bin/env python3
"""Checks the finished UEFI image: rights of its sections, and what relocations write to.

    pe.py build/hoist.efi build/hoist.so

The second file is the ELF shared object that the image was made of. gnu-efi's start-up code
relocates the image itself, from the ELF relocations, after the firmware has set the rights of the
sections; so those relocations are checked against the sections of both files.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

SIZE_LIMIT = 128 << 10
PAGE = 4096

# PE format, "Section Flags"
PE_EXECUTE, PE_READ, PE_WRITE = 0x20000000, 0x40000000, 0x80000000
PE_RIGHTS = PE_EXECUTE | PE_READ | PE_WRITE
GOOD_RIGHTS = {PE_READ | PE_EXECUTE: "R-X", PE_READ: "R--", PE_READ | PE_WRITE: "RW-"}
NX_COMPAT = 0x0100
EFI_APPLICATION = 10
RELOC_ABSOLUTE, RELOC_DIR64 = 0, 10

# System V gABI and the x86-64 supplement
SHT_RELA, SHT_REL, SHT_RELR = 4, 9, 19
SHF_WRITE, SHF_ALLOC = 1, 2
R_NONE, R_RELATIVE = 0, 8

Check = tuple[str, Callable[[], list[str]]]


@dataclass(frozen=True)
class Section:
    """A section of either format: addresses relative to the start of the image."""

    name: str
    address: int
    size: int
    writable: bool
    rights: int = 0

    def holds(self, address: int, size: int) -> bool:
        """True if the range lies inside."""
        return self.address <= address and address + size <= self.address + self.size


class Pe:
    """The headers of a PE32+ image."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        if data[:2] != b"MZ":
            raise ValueError("no MZ header")
        start = struct.unpack_from("<I", data, 0x3c)[0]
        if data[start:start + 4] != b"PE\0\0":
            raise ValueError("no PE header")
        self.machine, count = struct.unpack_from("<HH", data, start + 4)
        optional = start + 24
        optional_size = struct.unpack_from("<H", data, start + 20)[0]
        self.magic = struct.unpack_from("<H", data, optional)[0]
        self.entry = struct.unpack_from("<I", data, optional + 16)[0]
        self.section_alignment = struct.unpack_from("<I", data, optional + 32)[0]
        self.subsystem, self.flags = struct.unpack_from("<HH", data, optional + 68)
        self.relocation_rva, self.relocation_size = struct.unpack_from("<II", data,
                                                                       optional + 112 + 5 * 8)
        self.sections: list[Section] = []
        self._contents: dict[int, bytes] = {}
        for index in range(count):
            self._read_section(optional + optional_size + 40 * index)

    def _read_section(self, at: int) -> None:
        name, size, address, raw_size, raw = struct.unpack_from("<8sIIII", self.data, at)
        flags = struct.unpack_from("<I", self.data, at + 36)[0]
        self.sections.append(Section(name.rstrip(b"\0").decode(), address, max(size, raw_size),
                                     bool(flags & PE_WRITE), flags & PE_RIGHTS))
        self._contents[address] = self.data[raw:raw + raw_size]

    def relocations(self) -> list[tuple[int, int]]:
        """(type, RVA) of all base relocations but the padding."""
        holder = section_at(self.sections, self.relocation_rva, self.relocation_size)
        if not self.relocation_size:
            return []
        if not holder:
            raise ValueError("the base relocations lie in no section")
        offset = self.relocation_rva - holder.address
        data = self._contents[holder.address][offset:offset + self.relocation_size]
        found = []
        while len(data) >= 8:
            page, size = struct.unpack_from("<II", data)
            if size < 8 or size > len(data):
                raise ValueError(f"a block of base relocations has {size} bytes")
            for word, in struct.iter_unpack("<H", data[8:size & ~1]):
                if word >> 12 != RELOC_ABSOLUTE:
                    found.append((word >> 12, page + (word & 0xfff)))
            data = data[size:]
        return found


class Elf:
    """The sections and relocations of an ELF64 shared object."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        table = struct.unpack_from("<Q", data, 0x28)[0]
        entry_size, count = struct.unpack_from("<HH", data, 0x3a)
        self.sections: list[Section] = []
        self.relocations: list[tuple[int, int]] = []  # type, address
        self.other_formats: list[int] = []
        for index in range(count):
            _, kind, flags, address, offset, size = struct.unpack_from("<IIQQQQ", data,
                                                                       table + index * entry_size)
            if not flags & SHF_ALLOC:
                continue
            self.sections.append(Section(f"{index}", address, size, bool(flags & SHF_WRITE)))
            if kind == SHT_RELA:
                for target, info, _ in struct.iter_unpack("<QQq", data[offset:offset + size]):
                    self.relocations.append((info & 0xffffffff, target))
            elif kind in (SHT_REL, SHT_RELR) and size:
                self.other_formats.append(kind)


def section_at(sections: list[Section], address: int, size: int) -> Section | None:
    """The section that holds a range."""
    return next((section for section in sections if section.holds(address, size)), None)


def outside_writable(sections: list[Section], targets: list[int]) -> list[str]:
    """Complaints about 8-byte targets that do not lie in a writable section."""
    wrong = []
    for target in targets:
        section = section_at(sections, target, 8)
        if not section:
            wrong.append(f"relocation target {target:#x} lies in no section")
        elif not section.writable:
            wrong.append(f"relocation target {target:#x} lies in read-only {section.name}")
    return wrong


def _sections_are_apart(pe: Pe) -> list[str]:
    wrong = []
    end = PAGE
    for section in sorted(pe.sections, key=lambda section: section.address):
        if section.address % PAGE:
            wrong.append(f"{section.name} starts at {section.address:#x}")
        if section.address < end:
            wrong.append(f"{section.name} at {section.address:#x} shares a page")
        end = -(-(section.address + section.size) // PAGE) * PAGE
    if pe.section_alignment != PAGE:
        wrong.append(f"SectionAlignment is {pe.section_alignment}, expected {PAGE}")
    return wrong


def _rights_are_good(pe: Pe) -> list[str]:
    wrong = [f"{section.name} has rights {section.rights:#x}" for section in pe.sections
             if section.rights not in GOOD_RIGHTS]
    kinds = {GOOD_RIGHTS.get(section.rights) for section in pe.sections}
    wrong += [f"no section is {kind}" for kind in GOOD_RIGHTS.values() if kind not in kinds]
    entry = section_at(pe.sections, pe.entry, 1)
    if not entry or not entry.rights & PE_EXECUTE:
        wrong.append(f"the entry point {pe.entry:#x} lies in no executable section")
    return wrong


def _headers_are_good(pe: Pe) -> list[str]:
    facts = [("Machine", pe.machine, 0x8664), ("Magic", pe.magic, 0x20b),
             ("Subsystem", pe.subsystem, EFI_APPLICATION),
             ("DllCharacteristics & NX_COMPAT", pe.flags & NX_COMPAT, NX_COMPAT)]
    return [f"{name} is {value:#x}, expected {want:#x}" for name, value, want in facts
            if value != want]


def _pe_relocations(pe: Pe) -> list[str]:
    relocations = pe.relocations()
    wrong = [f"base relocation of type {kind} at {rva:#x}" for kind, rva in relocations
             if kind != RELOC_DIR64]
    return wrong + outside_writable(pe.sections, [rva for _, rva in relocations])


def _elf_relocations(pe: Pe, elf: Elf) -> list[str]:
    wrong = [f"relocation of type {kind} at {target:#x}; start-up code knows RELATIVE only"
             for kind, target in elf.relocations if kind not in (R_NONE, R_RELATIVE)]
    wrong += [f"relocation section of type {kind}; start-up code knows RELA only"
              for kind in elf.other_formats]
    targets = [target for kind, target in elf.relocations if kind != R_NONE]
    wrong += [f"{text} (of the ELF file)" for text in outside_writable(elf.sections, targets)]
    return wrong + outside_writable(pe.sections, targets)


def checks(image: Path, shared: Path) -> list[Check]:
    """Named checks; each returns its complaints. Reading happens inside, so errors are theirs."""
    def pe() -> Pe:
        return Pe(image.read_bytes())

    def size() -> list[str]:
        have = image.stat().st_size
        return [] if have < SIZE_LIMIT else [f"{have} bytes, expected less than {SIZE_LIMIT}"]

    return [
        ("an EFI application for x86-64 that is compatible with NX",
         lambda: _headers_are_good(pe())),
        ("sections share no page", lambda: _sections_are_apart(pe())),
        ("sections are R-X, R-- or RW-, and the entry point is code",
         lambda: _rights_are_good(pe())),
        ("base relocations change writable sections only", lambda: _pe_relocations(pe())),
        ("self-relocation changes writable sections only",
         lambda: _elf_relocations(pe(), Elf(shared.read_bytes()))),
        ("smaller than 128 KiB", size),
    ]


def run(image: Path, shared: Path) -> tuple[int, int]:
    """Runs and prints all checks; returns how many passed and failed."""
    failed = 0
    found = checks(image, shared)
    for name, check in found:
        try:
            wrong = check()
        except (OSError, ValueError, struct.error) as error:
            wrong = [str(error)]
        for text in wrong[:10]:
            print(f"# {text}")
        print(f"{'not ok' if wrong else 'ok'} - image: {name}", flush=True)
        failed += bool(wrong)
    return len(found) - failed, failed


def main() -> int:
    """Command line."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    return 1 if run(Path(sys.argv[1]), Path(sys.argv[2]))[1] else 0


if __name__ == "__main__":
    sys.exit(main())
