# shellcheck shell=bash
# A Samba server with its default settings, and mounts as README.md recommends them. Sourced by main.sh.

start_samba() {
    mkdir -p /tmp/samba /mnt/disk/store /mnt/disk/plain
    cat >/tmp/samba/smb.conf <<CONF
[global]
    server role = standalone server
    interfaces = lo
    bind interfaces only = yes
    load printers = no
    private dir = /tmp/samba
    lock directory = /tmp/samba
    state directory = /tmp/samba
    cache directory = /tmp/samba
    pid directory = /tmp/samba
    ncalrpc dir = /tmp/samba/ncalrpc
    log file = /tmp/samba/log
[store]
    path = /mnt/disk/store
    read only = no
[plain]
    path = /mnt/disk/plain
    read only = no
    mangled names = no
[small]
    path = /mnt/small
    read only = no
CONF
    printf 'secret\nsecret\n' | smbpasswd -c /tmp/samba/smb.conf -s -a root >/dev/null
    smbd -s /tmp/samba/smb.conf -D
}

# mount_share NAME: at /mnt/cifs/NAME, once the server answers.
mount_share() {
    local options=username=root,password=secret,uid=0,gid=0,file_mode=0660,dir_mode=0770,vers=3.1.1,iocharset=utf8,nosuid,nodev
    mkdir -p "/mnt/cifs/$1"
    for _ in $(seq 50); do
        mount -t cifs "//127.0.0.1/$1" "/mnt/cifs/$1" -o "$options" 2>/tmp/samba/mount.log && return
        sleep 0.2
    done
    cat /tmp/samba/mount.log
    return 1
}
