#!/bin/sh
# Supervises one host: wires it to the switch, boots it, and boots it again each time it reboots.
# Usage: host.sh DIRECTORY. Ends when the host is powered off or killed; the host never outlives it.
set -u
here=$1
scripts=${0%/*}
. "$here/settings" # NAME NETNS SWITCH PORT MAC ADDRESS CGROUP BASE

# A network namespace per boot, so that addresses and filters set by hand are gone after a reboot, as on any machine.
wire() {
    ip netns add "$NETNS" &&
    ip -n "$SWITCH" link add "$PORT" type veth peer name eth0 address "$MAC" netns "$NETNS" &&
    ip -n "$SWITCH" link set "$PORT" master br0 &&
    printf 'link set lo up\naddr add %s dev eth0\nlink set eth0 up\n' "$ADDRESS" | ip -n "$NETNS" -batch - || return
    [ -e "$here/cut" ] || ip -n "$SWITCH" link set "$PORT" up
}

unwire() {
    ip -n "$SWITCH" link del "$PORT"
    ip netns del "$NETNS"
} 2>/dev/null

# The disks of the last boot go away a moment after its last process; the same file system must not be mounted twice.
wait_for_disks() {
    tries=0
    while grep -qsF "$here/disks/" /sys/block/loop*/loop/backing_file; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "The disks of $NAME stay busy."; return 1; }
        sleep 0.05
    done
}

boot() {
    rm -rf "$here/work/work/incompat" # left by 'volatile' when the host was cut off
    /bin/sh -c 'echo 0 > "$0/cgroup.procs" && exec "$@"' "$CGROUP" \
        setpriv --pdeathsig KILL nsenter --net="/run/netns/$NETNS" \
        unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private \
        /bin/sh "$scripts/host-init.sh" "$here"
}

# A function, so that the shell has read the file whole when it starts: it may be edited while hosts run.
supervise() {
    echo $$ > "$here/pid"
    ended=129
    while [ "$ended" = 129 ]; do # SIGHUP: how the kernel reports reboot() in a PID namespace; SIGINT is a power-off
        unwire
        mkdir -p "$CGROUP" && wait_for_disks && wire || exit 1
        boot
        ended=$?
        unwire
        find "$CGROUP" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
    done
    echo "$NAME ended: $ended"
    rmdir "$CGROUP" 2>/dev/null
    exit 0
}
supervise
