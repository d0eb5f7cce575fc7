#!/usr/bin/env python3
"""Makes kernels that hoist must refuse, each from a good one with one thing spoiled.

usage: spoil.py GOOD.elf FOLDER
"""

import struct
import sys
from pathlib import Path

E_MACHINE = 18
E_ENTRY = 24
E_PHOFF = 32
E_PHNUM = 56
PHDR_SIZE = 56

# Offsets in a program header (ELF-64, figure 8).
P_TYPE, P_FLAGS, P_OFFSET, P_VADDR, P_PADDR, P_FILESZ, P_MEMSZ = 0, 4, 8, 16, 24, 32, 40

PT_LOAD = 1
PF_X, PF_W, PF_R = 1, 2, 4
EM_AARCH64 = 183
PAGE = 4096
HIGHER_HALF = 0xFFFFFFFF80000000


class Image(bytearray):
    """An ELF file whose fields can be read and written."""

    def get(self, offset, form):
        """The number at an offset, in a format of the struct module."""
        return struct.unpack_from("<" + form, self, offset)[0]

    def put(self, offset, form, value):
        """Replaces the number at an offset."""
        struct.pack_into("<" + form, self, offset, value)

    def loads(self):
        """Offsets of the program headers of type PT_LOAD: text, rodata, data."""
        first, count = self.get(E_PHOFF, "Q"), self.get(E_PHNUM, "H")
        headers = [first + i * PHDR_SIZE for i in range(count)]
        return [h for h in headers if self.get(h + P_TYPE, "I") == PT_LOAD]


def truncated(image):
    """The file ends in the middle of its last segment."""
    last = image.loads()[-1]
    middle = image.get(last + P_OFFSET, "Q") + image.get(last + P_FILESZ, "Q") // 2
    del image[middle:]


def machine(image):
    """Made for another machine."""
    image.put(E_MACHINE, "H", EM_AARCH64)


def overlap(image):
    """The second segment begins a page before the first one ends."""
    text, rodata, _ = image.loads()
    end = image.get(text + P_VADDR, "Q") + image.get(text + P_MEMSZ, "Q")
    image.put(rodata + P_VADDR, "Q", (end - 1) // PAGE * PAGE)


def sharedpage(image):
    """Read-only data stands behind the code in the same page, no byte of it shared."""
    text, rodata, _ = image.loads()
    last_page = (image.get(text + P_MEMSZ, "Q") - 1) // PAGE * PAGE
    image.put(text + P_FILESZ, "Q", last_page + 64)
    image.put(text + P_MEMSZ, "Q", last_page + 64)
    image.put(E_ENTRY, "Q", image.get(text + P_VADDR, "Q"))
    # Offset and address stay congruent, as p_align wants it.
    image.put(rodata + P_VADDR, "Q", image.get(text + P_VADDR, "Q") + last_page + 128)
    image.put(rodata + P_OFFSET, "Q", image.get(rodata + P_OFFSET, "Q") + 128)
    image.put(rodata + P_FILESZ, "Q", 64)
    image.put(rodata + P_MEMSZ, "Q", 64)


def wx(image):
    """A segment is writable and executable."""
    image.put(image.loads()[2] + P_FLAGS, "I", PF_R | PF_W | PF_X)


def lowerhalf(image):
    """Linked at 1 MiB."""
    move = HIGHER_HALF - 0x100000
    for header in image.loads():
        for field in (P_VADDR, P_PADDR):
            image.put(header + field, "Q", image.get(header + field, "Q") - move)
    image.put(E_ENTRY, "Q", image.get(E_ENTRY, "Q") - move)


def option(image):
    """A required option that nobody knows."""
    # Name size, descriptor size, type and name of struct hoist_note.
    note = image.find(struct.pack("<III8s", 6, 16, 1, b"hoist"))
    if note < 0:
        raise SystemExit("spoil.py: the good kernel has no note")
    struct.pack_into("<II", image, note + 20, 0x7FFF, 1)


def main():
    """Writes each kernel as <name of its function>.elf."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    good, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for spoil in (truncated, machine, overlap, sharedpage, wx, lowerhalf, option):
        image = Image(good)
        spoil(image)
        (folder / (spoil.__name__ + ".elf")).write_bytes(image)


if __name__ == "__main__":
    main()
