"""The package's commands by name: `lofi NAME ...` does what `python -m lofi_jax.NAME ...` does."""

import os
import runpy
import sys

COMMANDS = {
    "main": "a whole run, from videos to a table of results; resumes",
    "doctor": "what will go wrong in a run, before it does",
    "study": "the rows of a config over several seeds",
    "plan": "what fits into a device's memory in joint training, and its cost",
    "prepare": "a dataset on disk, from videos and an annotation file",
    "predict": "detections in any video files, with a trained run",
    "recognize": "Kinetics-400's classes over time in any video files, without training",
    "evaluate": "the metrics of a prediction file",
    "view": "a page that plays videos beside their timelines",
    "diagnose": "why detections are wrong",
    "compare": "the difference of two prediction files, and whether it is chance",
    "fuse": "several prediction files in one",
    "validate": "what is wrong with a prediction file, before it is submitted",
    "convert": "a public PyTorch checkpoint to one of ours",
    "export": "a run's features and annotations for other projects",
}


def main() -> int:
    """Runs the command that the command line names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        print("usage: lofi NAME [--flag=value ...]; lofi NAME --help tells its flags\n")
        print("\n".join(f"  {name:<10}{does}" for name, does in COMMANDS.items()))
        return 0
    if name not in COMMANDS:
        # Only here, for absl takes longer to import than all of this.
        from lofi_jax.errors import there_are

        print(f"error: no command {name!r}: {there_are(name, COMMANDS)}", file=sys.stderr)
        return 2
    # As `python -m` has it: a config may name an encoder or a head in a module of this folder.
    sys.path.insert(0, os.getcwd())
    sys.argv = [f"lofi {name}", *arguments]
    runpy.run_module(f"lofi_jax.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
