#!/bin/bash
# In the guest: a Samba server or an NFS server on loopback, a mount of it, and the tests on that.
#
# TEST_MOUNT_KIND: cifs or nfs. TEST_BINARY: the tests. TEST_JANITOR_BIN: the janitor. TEST_FILTER: only tests with one of these
# in their name, separated by commas.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/guest/samba.sh
. ./samba.sh
# shellcheck source=scripts/guest/nfs.sh
. ./nfs.sh

cd /tmp
export HOME=/tmp TMPDIR=/tmp
hostname guest
ip link set lo up
for disk in disk:/dev/ubda small:/dev/ubdb; do
    mkfs.ext4 -q -F "${disk#*:}" >/dev/null
    mkdir -p "/mnt/${disk%%:*}"
    mount -t ext4 "${disk#*:}" "/mnt/${disk%%:*}"
done

case $TEST_MOUNT_KIND in
cifs)
    start_samba
    for share in store plain small; do
        mount_share "$share"
    done
    export TEST_MOUNT=/mnt/cifs/store
    export TEST_MOUNT_OF_PLAIN_NAMES=/mnt/cifs/plain TEST_MOUNT_THAT_IS_SMALL=/mnt/cifs/small
    echo "Samba $(smbd --version | cut -d' ' -f2), $(findmnt -no OPTIONS $TEST_MOUNT | grep -o 'vers=[^,]*')"
    ;;
nfs)
    start_nfs
    export TEST_MOUNT=/mnt/nfs
    echo "NFS, $(findmnt -no OPTIONS $TEST_MOUNT | grep -o 'vers=[^,]*')"
    ;;
esac
# More tests at a time than processors, since they mostly wait.
IFS=, read -ra filters <<<"${TEST_FILTER:-}"
"$TEST_BINARY" --ignored --test-threads 3 "${filters[@]}"
