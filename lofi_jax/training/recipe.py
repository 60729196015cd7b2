"""How something is trained: for how long, in which batches, by which optimizer."""

import dataclasses

from lofi_jax.training.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How something is trained.

    Attributes:
        epochs: passes through the examples.
        batch_size: examples a step, over all devices.
        optimizer: its settings.
    """

    epochs: float = 15.0
    batch_size: int = 16
    optimizer: Optimizer = Optimizer()

    def steps(self, examples: int) -> int:
        """Steps of the whole training: at least one."""
        return max(round(self.epochs * examples / self.batch_size), 1)

    def steps_per_epoch(self, examples: int) -> int:
        """Steps of one epoch, the remainder of its examples left to the next: at least one."""
        return max(examples // self.batch_size, 1)
