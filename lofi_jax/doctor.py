"""Says what will go wrong in a run, before it does.

python -m lofi_jax.doctor --config=configs/video_folder.py --workdir=runs/mine \\
    --config.data.video_dir=videos --config.data.annotations=annotations.json

Trains nothing and writes nothing. What it finds comes worst first, each with its remedy. Exit code
1: something would stop the run or make its result meaningless.
"""

import pathlib

from absl import flags

from lofi_jax import config as configs
from lofi_jax import errors
from lofi_jax.checkup.finding import Severity, text
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.config import typed
from lofi_jax.jobs import checkup
from lofi_jax.run import networks
from lofi_jax.run.workdir import Workdir

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder that the run will write to.", required=True)


def main() -> int:
    config = typed(_CONFIG.value)
    configs.validate(config)
    configs.validate_data(config)
    networks.check(config)
    found = checkup.whole(config, Workdir(pathlib.Path(_WORKDIR.value).absolute()))
    for finding in found.findings:
        print(text(finding))
    counts = [sum(finding.severity == level for finding in found.findings) for level in Severity]
    if found.findings:
        print()
    print("\n".join(found.facts))
    summary = ", ".join(
        f"{count} {level.name.lower()}{'s' * (count != 1)}"
        for count, level in zip(counts, Severity, strict=True)
    )
    print(summary if found.findings else "nothing found: go ahead")
    return int(counts[Severity.STOP] > 0)


if __name__ == "__main__":
    errors.run(main, parse_flags)
