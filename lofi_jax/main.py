"""`python -m lofi_jax.main --config=F --workdir=D`: a whole run from videos to a table; it
resumes.
"""

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.devices import huge_pages

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for everything the run writes.", required=True
)
_WAIT = locks.define_wait()
_DISTRIBUTED = flags.DEFINE_string(
    "distributed",
    "",
    "auto or HOST:PORT,COUNT,INDEX, where no cluster says that there are several processes.",
)
_RERUN = flags.DEFINE_string(
    "rerun",
    "",
    "Stages to start anew, with all that came of them, comma-separated: pretrain, joint, extract,"
    " head, detect, evaluate.",
)


def main() -> None:
    # Only here, for it takes seconds: by now the command has said that it starts.
    from lofi_jax.jobs import whole_run

    whole_run.run(_CONFIG.value, _WORKDIR.value, _DISTRIBUTED.value, _RERUN.value, _WAIT.value)


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main, parse_flags, "main: starting JAX")
