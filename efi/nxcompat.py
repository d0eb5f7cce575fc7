#!/usr/bin/env python3
"""Sets NX_COMPAT in the PE header of an EFI image, in place: objcopy has no option for it.

DllCharacteristics is a 16-bit word at offset 70 of the PE32+ optional header, which follows
the 24 bytes of signature and file header (PE/COFF specification, "Optional Header").
"""
import struct
import sys

NX_COMPAT = 0x0100
DYNAMIC_BASE = 0x0040


def main(path):
    with open(path, "r+b") as image:
        image.seek(0x3C)
        (pe,) = struct.unpack("<I", image.read(4))
        image.seek(pe)
        if image.read(4) != b"PE\0\0":
            sys.exit(f"{path}: no PE signature at {pe:#x}")
        image.seek(pe + 24 + 70)
        (flags,) = struct.unpack("<H", image.read(2))
        image.seek(pe + 24 + 70)
        image.write(struct.pack("<H", flags | NX_COMPAT | DYNAMIC_BASE))


main(sys.argv[1])
