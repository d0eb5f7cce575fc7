# What the UEFI shell runs when no boot entry of the firmware has started hoist.
#
# Put it at the root of a volume, with hoist as \EFI\hoist\hoist.efi or \EFI\BOOT\BOOTX64.EFI on the
# same volume. The shell runs it by itself after its countdown; typed by hand it hands over up to
# nine arguments, which are hoist's load options:
#
#	fs0:\startup.nsh kernel=\boot\other.elf "cmdline=root=/dev/sda quiet"
#
@echo -off

# %0 is the whole path of this file, its volume included. hoist looks for hoist.conf and for files
# on the volume that it is started from, so go there first. The shell calls volumes fs0, fs1, ...;
# under another name (an alias typed by hand) the current volume stays.
for %v run (0 31)
  if /i %0 == fs%v:\startup.nsh then
    fs%v:
  endif
endfor

set -v hoist \EFI\hoist\hoist.efi
if not exist %hoist% then
  set -v hoist \EFI\BOOT\BOOTX64.EFI
endif
if not exist %hoist% then
  echo startup.nsh: neither \EFI\hoist\hoist.efi nor \EFI\BOOT\BOOTX64.EFI is on this volume
  exit /b 14
endif

# An argument that is not there becomes an empty word, which hoist ignores; the shell puts quotes
# around arguments with blanks again.
%hoist% %1 %2 %3 %4 %5 %6 %7 %8 %9
