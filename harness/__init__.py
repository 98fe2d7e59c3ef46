"""pollbench: does this busy-poll or interrupt-coalescing setting help, at what CPU cost, and did it take effect?"""
