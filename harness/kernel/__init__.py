"""The floor: alone speaks to the kernel (netlink, ioctl, setns, /proc, /sys)."""
