#!/bin/sh
# Makes boot media out of a folder that holds the files of an EFI system partition.
#
#   efi/mkimage.sh disk OUT.img ESPDIR   GPT disk with one FAT32 partition, for a USB stick or a VM
#   efi/mkimage.sh iso OUT.iso ESPDIR    hybrid image: boots as a CD and, written as it is, as a
#                                        stick
#
# PARTUUID in the environment is the GUID of a disk's partition; without it, a random one.
#
# Needs sgdisk, mtools and (for iso) xorriso; neither root nor loop devices. OUT is written beside
# itself first and renamed at the end, so that a failure never leaves half an image.
set -eu

# Debian keeps sgdisk where the PATH of ordinary users does not look.
PATH=$PATH:/usr/sbin:/sbin
# A volume need not be a whole number of tracks; mtools would refuse to write to it.
export MTOOLS_SKIP_CHECK=1

readonly SECTORS_PER_MIB=2048

die() {
	echo "mkimage.sh: $*" >&2
	exit 1
}

# contents_mib DIR: room for the files of DIR. A file wastes at most one cluster (4 KiB as long as
# the volume is below 8 GiB), a directory takes one; a sixteenth on top is for the two FATs.
contents_mib() {
	kib=$(du -sk --apparent-size "$1" | cut -f 1)
	entries=$(find "$1" | wc -l)
	kib=$((kib + entries * 8))
	echo $(((kib + kib / 16) / 1024 + 2))
}

# format IMAGE@@OFFSET SECTORS DIR OPTION...: a FAT volume with the contents of DIR.
format() {
	volume=$1
	sectors=$2
	dir=$3
	shift 3
	mformat -i "$volume" -T "$sectors" -h 255 -s 63 -v ESP "$@" ::
	# Names one by one, because mcopy does not take the contents of a folder.
	for entry in "$dir"/*; do
		[ -e "$entry" ] && mcopy -i "$volume" -s -Q "$entry" ::
	done
	return 0
}

# An ESP is FAT32 (UEFI 2.10, 13.3), and FAT32 has at least 65,525 clusters (FAT specification
# 1.03, page 14): 34 MiB with clusters of one sector, 264 MiB with clusters of 4 KiB. The partition
# starts at 1 MiB; the MiB behind it holds the backup GPT (UEFI 2.10, 5.3).
make_disk() {
	mib=$(contents_mib "$2")
	[ "$mib" -ge 40 ] || mib=40
	cluster=1
	if [ "$mib" -ge 264 ]; then
		cluster=8
	fi
	truncate -s "$((mib + 2))M" "$1"
	sgdisk -n "1:1M:+${mib}M" -t 1:ef00 -c 1:ESP -u "1:${PARTUUID:-R}" "$1" >"$scratch/log"
	format "$1@@1M" $((mib * SECTORS_PER_MIB)) "$2" -F -c "$cluster"
}

# The ESP is appended as a GPT partition, and the El Torito entry points into it: one copy of the
# files serves both ways to boot. Removable media may be FAT12 or FAT16 (UEFI 2.10, 13.3), and
# small matters here: El Torito counts sectors in 16 bits, so 32 MiB is what every firmware reads.
make_iso() {
	mib=$(contents_mib "$2")
	[ "$mib" -ge 6 ] || mib=6
	truncate -s "${mib}M" "$scratch/esp.img"
	format "$scratch/esp.img" $((mib * SECTORS_PER_MIB)) "$2"
	mkdir "$scratch/root"
	xorriso -as mkisofs -R -J -V HOIST -o "$1" \
		-append_partition 2 0xef "$scratch/esp.img" -appended_part_as_gpt \
		-e --interval:appended_partition_2:all:: -no-emul-boot "$scratch/root" \
		2>"$scratch/log"
}

[ $# -eq 3 ] || die "usage: mkimage.sh disk|iso OUT ESPDIR"
[ -d "$3" ] || die "$3 is not a folder"
[ -n "$(ls "$3")" ] || die "$3 is empty"

# What the tools say matters only when they fail.
finish() {
	status=$?
	[ $status -eq 0 ] || [ ! -f "$scratch/log" ] || cat "$scratch/log" >&2
	rm -rf "$scratch"
	exit $status
}

scratch=$(mktemp -d "$2.XXXXXX")
trap finish EXIT
trap 'exit 1' INT TERM

case $1 in
disk) make_disk "$scratch/out" "$3" ;;
iso) make_iso "$scratch/out" "$3" ;;
*) die "unknown kind of image '$1', expected disk or iso" ;;
esac
mv "$scratch/out" "$2"
