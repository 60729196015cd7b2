"""What stands for "auto" in a config: the planner chooses the number."""

AUTO = -1
AUTO_KEYS = ("joint.batch_size", "joint.chunk")
