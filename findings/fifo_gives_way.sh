#!/usr/bin/env bash
# EXPECTED: with kernel.sched_rt_runtime_us = -1 nothing of normal priority runs on a CPU that a SCHED_FIFO program does not
#   leave: that is what "real-time throttling off" means, and what programs that busy-poll are given FIFO for.
# REALITY: so it is in 6.1. In 6.12 a "fair server" hands normal programs 50 ms of every second whatever that sysctl says:
#   a FIFO program that never sleeps is stopped about once a second, for some 50 ms in one piece.
# WHERE: pinned FIFO threads that spin (busy polling, DPDK) on a CPU where a kernel thread or a stray program is ready to run:
#   a tail of 50 ms that came with a kernel upgrade, while every sysctl of the tuning guide is set.
set -euo pipefail
command -v qemu-system-x86_64 cpio >/dev/null || { echo "needs qemu-system-x86_64 and cpio"; exit 1; }
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
debs=(busybox-static util-linux libc6 linux-image-6.1.0-56-cloud-amd64 linux-image-6.12.117+deb12-cloud-amd64)
get() { apt-get -qq -o APT::Sandbox::User=root download "${debs[@]}" 2>/dev/null; }
get || { apt-get -qq update; get; }
for deb in *.deb; do dpkg -x "$deb" x; done
mkdir -p root/{bin,proc,sys,lib64}; cp x/bin/busybox x/usr/bin/chrt root/bin/
cp x/lib/x86_64-linux-gnu/{libc.so.6,ld-linux-x86-64.so.2} root/lib64/
cat >root/init <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib64
mount -t proc proc /proc
mount -t debugfs debug /sys
taskset -p 2 $$ >/dev/null                                   # this shell on CPU 1; CPU 0 is theirs
echo -1 >/proc/sys/kernel/sched_rt_runtime_us
taskset 1 chrt -f 50 sh -c 'while :; do :; done' & fifo=$!
taskset 1 sh -c 'while :; do :; done' & normal=$!
sleep 2                                                      # until both have begun
read -r _ waited times </proc/$fifo/schedstat; read -r had _ </proc/$normal/schedstat
sleep 10
read -r _ waits more </proc/$fifo/schedstat; read -r has _ </proc/$normal/schedstat
echo "RESULT $(uname -r): in 10 s beside a FIFO program that spins, a normal one had $(((has - had) / 1000000)) ms;" \
    "the FIFO one waited $(((waits - waited) / 1000000)) ms, $((more - times)) times"
echo "RESULT fair server of CPU 0: $(cat /sys/sched/fair_server/cpu0/runtime 2>/dev/null || echo no) ns a period"
kill -9 $fifo $normal
poweroff -f
END
chmod +x root/init; (cd root && find . | cpio --quiet -o -H newc) >initramfs
qemu-system-x86_64 --version | head -1
for kernel in 6.1 6.12; do
    timeout 120 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 512 -nographic -no-reboot -nic none \
        -kernel x/boot/vmlinuz-$kernel.* -initrd initramfs -append "console=ttyS0 quiet panic=-1" </dev/null |
        tr -d '\r' | tee raw-$kernel | sed -n 's/^.*RESULT //p' | tee out-$kernel
done
had() { sed -n 's/.* had \([0-9]*\) ms.*/\1/p' "out-$1"; }
[ "$(had 6.1)" -eq 0 ] || { echo "behaviour changed: 6.1 let the normal program run"; exit 1; }
[ "$(had 6.12)" -ge 300 ] && [ "$(had 6.12)" -le 700 ] || { echo "behaviour changed: 6.12's share is another"; exit 1; }
echo "as described: without real-time throttling 6.1 gives nothing away, 6.12 a twentieth"
