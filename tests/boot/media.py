"""What a guest boots from: folders, disk images, ISO images, and the devices that hold them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A file of an ESP: its bytes, or a file of the host to copy.
Files = dict[str, "bytes | Path"]

# Of the partition on every disk image.
PARTUUID = "0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9"

_DEVICES = {
    "virtio": ["-device", "virtio-blk-pci,drive=disk,bootindex=1"],
    "ahci": ["-device", "ide-hd,drive=disk,bootindex=1"],
    "nvme": ["-device", "nvme,serial=hoist,drive=disk,bootindex=1"],
    "usb": ["-device", "qemu-xhci", "-device", "usb-storage,drive=disk,bootindex=1"],
    "cd": ["-device", "ide-cd,drive=disk,bootindex=1"],
}

# medium: how the files become a drive, and the device that shows it to the guest
_MEDIA = {
    "folder": ("folder", "virtio"),
    "disk on virtio": ("disk", "virtio"),
    "disk on AHCI": ("disk", "ahci"),
    "disk on NVMe": ("disk", "nvme"),
    "USB stick": ("disk", "usb"),
    "ISO as CD": ("iso", "cd"),
    "ISO as USB stick": ("iso", "usb"),
}


def write_esp(folder: Path, files: Files) -> None:
    """Lays the files of a volume out in a new folder; names use slashes."""
    folder.mkdir()
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read_bytes() if isinstance(content, Path) else content)


def make_image(kind: str, image: Path, esp: Path) -> None:
    """Has efi/mkimage.sh make a disk or ISO image, the way `make image` does."""
    script = ROOT / "efi" / "mkimage.sh"
    made = subprocess.run([str(script), kind, str(image), str(esp)], capture_output=True,
                          text=True, check=False, env=os.environ | {"PARTUUID": PARTUUID})
    if made.returncode != 0:
        raise RuntimeError(f"mkimage.sh {kind} failed: {made.stdout}{made.stderr}")


def escaped(path: Path) -> str:
    """A path as a value among QEMU's comma-separated options."""
    return str(path).replace(",", ",,")


def attach(medium: str, files: Files, folder: Path) -> list[str]:
    """Makes the medium below `folder`; returns the QEMU arguments that attach it."""
    form, device = _MEDIA[medium]
    esp = folder / "esp"
    write_esp(esp, files)
    if form == "folder":
        source = f"file.driver=vvfat,file.rw=on,file.dir={escaped(esp)}"
    else:
        image = folder / f"{form}.img"
        make_image(form, image, esp)
        source = f"file.driver=file,file.filename={escaped(image)}"
    return ["-drive", f"driver=raw,if=none,id=disk,{source}", *_DEVICES[device]]


def attach_empty(folder: Path) -> list[str]:
    """QEMU arguments for one more disk, whose volume has nothing to boot."""
    write_esp(folder, {"nothing": b""})
    source = f"file.driver=vvfat,file.dir={escaped(folder)}"
    return ["-drive", f"driver=raw,if=none,id=empty,readonly=on,{source}",
            "-device", "virtio-blk-pci,drive=empty,bootindex=2"]


def start_directly(image: Path, options: str) -> list[str]:
    """QEMU arguments with which OVMF starts an application itself, load options and all."""
    return ["-kernel", str(image), "-append", options]
