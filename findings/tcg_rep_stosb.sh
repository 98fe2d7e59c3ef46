#!/usr/bin/env bash
# EXPECTED: "-cpu max" is the fastest CPU that QEMU's TCG can emulate: the more features a guest sees, the less it has to do.
# REALITY: "max" announces that "rep stosb" and "rep movsb" are fast (ERMS), so the kernel clears and copies memory by them; TCG
#   carries out one byte at a time, and with -icount each byte is an instruction of the guest. Without the flag the kernel
#   takes eight bytes at a time: writing 64 MiB of zeros to tmpfs costs 0.3 s of the guest's clock instead of 0.5 s.
# WHERE: kernel CI and test machines without KVM, and reproducible -icount runs: model time charges a page that is cleared
#   4,096 instructions, which benchmarks then blame on what they measure.
set -euo pipefail
command -v qemu-system-x86_64 cpio >/dev/null || { echo "needs qemu-system-x86_64 and cpio"; exit 1; }
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
kernel=linux-image-6.12.117+deb12-cloud-amd64
get() { apt-get -qq -o APT::Sandbox::User=root download "$@" 2>/dev/null; }
get busybox-static $kernel || { apt-get -qq update; get busybox-static $kernel; }
for deb in *.deb; do dpkg -x "$deb" x; done
mkdir -p root/bin root/proc root/dev root/tmp; cp x/bin/busybox root/bin/
cat >root/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
read -r booted _ </proc/uptime
/bin/busybox dd if=/dev/zero of=/tmp/zeros bs=1M count=64 2>/dev/null
read -r wrote _ </proc/uptime
echo "RESULT booted at $booted, 64 MiB of zeros written at $wrote"
/bin/busybox poweroff -f
END
chmod +x root/init; (cd root && find . | cpio --quiet -o -H newc) >initramfs
qemu-system-x86_64 --version | head -1
boot() {  # CPU: what the guest says; one instruction of it is one ns of its clock, whatever the host does meanwhile
    timeout 500 qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -cpu "$1" -smp 1 -m 512 -nographic -no-reboot -nic none \
        -kernel x/boot/vmlinuz-* -initrd initramfs -append "console=ttyS0 quiet panic=-1" </dev/null |
        tr -d '\r' | sed -n 's/^.*RESULT //p' | tee "out-$1" | sed "s/^/-cpu $1: /"
}
boot max; boot max,erms=off,fsrm=off
cs() { sed -n "s/.*$2 at \([0-9]*\)\.\([0-9]*\).*/\1\2/p" "out-$1" | sed 's/^0*//'; }       # hundredths of a second
wrote() { echo $(($(cs "$1" written) - $(cs "$1" booted))); }
echo "writing the zeros: $(wrote max) and $(wrote max,erms=off,fsrm=off) hundredths of a second"
[ $((2 * $(wrote max))) -gt $((3 * $(wrote max,erms=off,fsrm=off))) ] || { echo "behaviour changed"; exit 1; }
echo "as described: with fewer features the guest has less to do"
