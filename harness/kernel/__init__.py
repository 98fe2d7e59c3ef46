"""The floor: the only place that speaks to the kernel (netlink, ioctl, setns, /proc, /sys)."""
