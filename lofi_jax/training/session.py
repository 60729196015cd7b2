"""What all trainings of a run share."""

import dataclasses

from jax.sharding import Mesh

from lofi_jax.training.sharding import make_mesh


@dataclasses.dataclass(frozen=True)
class Session:
    """The devices and settings that a run's trainings share.

    Attributes:
        mesh: the devices.
        parameters: how a train state is sharded; see `sharding.placement`.
        seed: of all randomness.
        workers: loader processes; 0: threads.
        log_every: steps between two log entries.
        checkpoint_seconds: longest time between two checkpoints; several processes save at a log
            entry only.
    """

    mesh: Mesh = dataclasses.field(default_factory=lambda: make_mesh(-1, 1))
    parameters: str = "replicated"
    seed: int = 0
    workers: int = 0
    log_every: int = 10
    checkpoint_seconds: float = 60.0
