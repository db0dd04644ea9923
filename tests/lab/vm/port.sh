#!/bin/sh
# Run by qemu, in the directory of its host: connects the interface that it made to the lab's switch.
ip link set "$1" master br0
[ -e cut ] || ip link set "$1" up
