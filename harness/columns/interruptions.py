"""The columns that tell what interrupted a run's CPU set."""

from __future__ import annotations

from harness.columns.model import measured

INTERRUPTIONS = (
    measured("nic_irqs", "count", "Interrupts of NICs, all nodes; blank without any."),
    measured(
        "nic_irqs_per_packet",
        "",
        "Those interrupts for each packet received.",
        "lower",
        main=True,
        label="IRQs/packet",
    ),
    measured(
        "irqs_per_request",
        "",
        "Interrupts of the CPU set, of any kind (device, timer, other CPU), for each request answered.",
        "lower",
        label="interrupts/request",
    ),
    measured(
        "net_rx_per_request",
        "",
        "Receive softirqs (NET_RX) of the CPU set for each request answered.",
        "lower",
        label="softirqs/request",
    ),
)
