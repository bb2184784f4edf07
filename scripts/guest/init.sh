#!/bin/bash
# The first process in the guest. Its root is this machine's file tree, read-only; above it come the unpacked packages,
# and above these a tree in memory, which takes all changes.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo "guest| booted $(uname -r)"
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/packages
# Mounted again, since the layers of an overlay must not lie in each other.
mount -t hostfs none /mnt/packages -o "$GUEST_ROOT"
kmod=/mnt/packages/usr/bin/kmod
[ -x "$kmod" ] || kmod=$(command -v kmod)
(export LD_LIBRARY_PATH=/mnt/packages/usr/lib/x86_64-linux-gnu && exec -a modprobe "$kmod" -d /mnt/packages overlay)
mount -t overlay overlay -o lowerdir=/mnt/packages:/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root && mkdir -p .host && pivot_root . .host && cd / || exec halt -f
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
# Nothing in here outlives its time, whatever hangs.
timeout --signal=KILL "$GUEST_SECONDS" bash "$GUEST_MAIN" 2>&1 </dev/null | sed -u 's/^/guest| /'
echo "guest ended: ${PIPESTATUS[0]}"
halt -f
