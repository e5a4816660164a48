#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots systemd in a tree as the first process of its own name spaces, in control groups that it may divide: systemd-nspawn gives a machine
# none of the controllers of version 1. own-init.sh TREE HIERARCHY…: "DIRECTORY=OPTIONS" as mounted on the host, or "=" for version 2. It was
# moved into the groups before; a control group name space begins where it stands.
set -e

tree=$1
shift
mount --make-rprivate /
mount --rbind "$tree" "$tree"
cd "$tree"

mount -t proc proc proc
# What this host has set is not the machine's to change.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
if [ "$1" = "=" ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
else
        mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
        for hierarchy; do
                directory=sys/fs/cgroup/${hierarchy%%=*}
                mkdir "$directory"
                mount -t cgroup -o "${hierarchy#*=}" cgroup "$directory"
        done
fi
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do
        mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

mkdir -p run/host-root
pivot_root . run/host-root
# Not /bin/sh of the host, whose tree goes away.
exec chroot . /bin/sh -c 'umount -l /run/host-root && rmdir /run/host-root && exec env -i container=own-init PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init'
