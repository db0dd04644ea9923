#!/bin/sh
# Process 1 of a host, inside its new namespaces: puts the root together and becomes systemd.
# Usage: host-init.sh DIRECTORY
set -eu
umask 022
here=$1
root=$here/root
tab=$(printf '\t')
. "$here/settings"

mount -t overlay "$NAME" -o "lowerdir=$BASE,upperdir=$here/upper,workdir=$here/work,volatile" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"

mount -t tmpfs -o mode=755,size=64m dev "$root/dev"
cp -a "$BASE/dev/." "$root/dev/"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"

# Root in here is root on the machine: what would change the shared kernel is read-only, but not the host's own network.
echo "$NAME" > /proc/sys/kernel/hostname
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,rw,bind "$root/proc/sys/net"
[ ! -e "$root/proc/sysrq-trigger" ] || mount --bind /dev/null "$root/proc/sysrq-trigger"

# 'loop' attaches the image in a way that the kernel detaches it with the last mount, however the host ends.
while IFS=$tab read -r kind source target; do
    mkdir -p "$root$target"
    case $kind in
        disk) mount -o loop "$source" "$root$target" ;;
        bind) mount --rbind "$source" "$root$target" ;;
        plain) ;;
    esac
done < "$here/mounts"

cd "$root"
pivot_root . mnt
exec /usr/bin/env -i container=lab TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/sh -c 'umount -l /mnt; exec /lib/systemd/systemd --log-target=journal' </dev/null >/dev/null 2>&1
