# shellcheck shell=bash
# The kernel's NFS server, version 4.2 alone, and a mount of it. Sourced by main.sh.

start_nfs() {
    mkdir -p /mnt/disk/nfs /mnt/nfs /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery
    touch /etc/exports /var/lib/nfs/etab /var/lib/nfs/rmtab
    modprobe nfsd
    mount -t nfsd nfsd /proc/fs/nfsd
    # Nobody has locks of before a restart to claim.
    echo 10 >/proc/fs/nfsd/nfsv4leasetime
    echo 10 >/proc/fs/nfsd/nfsv4gracetime
    exportfs -o rw,no_root_squash,no_subtree_check,fsid=0 127.0.0.1:/mnt/disk/nfs
    rpc.mountd --no-nfs-version 3
    rpc.nfsd --no-nfs-version 3 4
    echo Y >/proc/fs/nfsd/v4_end_grace || true
    for _ in $(seq 50); do
        mount -t nfs4 -o vers=4.2 127.0.0.1:/ /mnt/nfs 2>/tmp/nfs-mount.log && return
        sleep 0.2
    done
    cat /tmp/nfs-mount.log
    return 1
}
