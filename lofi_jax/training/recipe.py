"""A training recipe: epochs, batch size and optimizer."""

import dataclasses

from lofi_jax.training.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training recipe.

    Attributes:
        epochs: passes through the examples.
        batch_size: examples per step, over all devices.
        optimizer: its settings.
        ema: decay of the running mean of the parameters, which is then what the next stage and
            every evaluation use; 0: the last parameters.
    """

    epochs: float = 15.0
    batch_size: int = 16
    optimizer: Optimizer = Optimizer()
    ema: float = 0.0

    def steps(self, examples: int) -> int:
        """Steps of the whole training: at least one."""
        return max(round(self.epochs * examples / self.batch_size), 1)

    def steps_per_epoch(self, examples: int) -> int:
        """Steps per epoch, at least one; leftover examples go to the next epoch."""
        return max(examples // self.batch_size, 1)
