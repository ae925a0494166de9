#!/bin/sh
# The first program of a guest: makes a usual system of it, runs the command, says how it ended, and turns it off.
# Serial lines: ttyS0 the kernel's log, ttyS1 output of the command, ttyS2 its exit code, ttyS3 the folder that is taken.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/usr/busybox
export HOME=/root TERM=dumb LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# The kernel makes its first root a folder in which everyone may write.
chmod 755 /
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
ln -sn /proc/self/fd /dev/fd
chmod 1777 /tmp
hostname vm
ip link set lo up
# Nothing loads these when their device is opened: that device is made by them.
modprobe loop
# Nor these: there is no udev to see the disk, which not every guest has, nor its bus.
modprobe virtio_pci
modprobe virtio_blk
# Nor these: a program looks for the device, or in the list of what there is, before it asks for it; the last has no alias.
modprobe tun
modprobe tcp_bbr
modprobe fou
for line in ttyS1 ttyS2 ttyS3; do stty -F /dev/$line raw -echo; done

# As a child: were the command the first program, its death would be the kernel's.
cd /root
sh /run/vm-command </dev/null >/dev/ttyS1 2>&1
code=$?
if [ -e /run/vm-take ]; then
    tar -c -C "$(cat /run/vm-take)" . >/dev/ttyS3
    stty -F /dev/ttyS3 raw -echo
fi
echo "exit $code" >/dev/ttyS2
# Closing waits until the line has drained, so that nothing said is lost.
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
poweroff -f
