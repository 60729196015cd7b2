"""Add a dataset: bring its annotations into the ActivityNet form, which every command reads.

    python tests/examples/charades.py Charades_v1_train.csv Charades_v1_test.csv charades.json
    python -m lofi_jax.prepare --dataset=video_folder --video_dir=Charades_v1 \\
        --annotations=charades.json --data_dir=data

Charades has one row per video: "id", "length" in seconds, and "actions" such as
"c092 11.90 21.20;c147 0.00 12.60".
Source: README of Charades (Sigurdsson et al., Hollywood in Homes, ECCV 2016).
"""

import csv
import json
import sys

SUBSETS = ("training", "testing")


def video(row: dict[str, str], subset: str) -> dict:
    """What the ActivityNet form says of one video."""
    actions = [action.split() for action in row["actions"].split(";") if action]
    return {
        "subset": subset,
        "duration": float(row["length"]),
        "annotations": [
            {"label": label, "segment": [float(start), float(end)]} for label, start, end in actions
        ],
    }


def convert(paths: list[str]) -> dict:
    """The annotation file of Charades's files, one a subset."""
    database = {}
    for path, subset in zip(paths, SUBSETS, strict=True):
        with open(path, newline="", encoding="utf-8") as file:
            database |= {row["id"]: video(row, subset) for row in csv.DictReader(file)}
    return {"version": "Charades v1", "database": database}


if __name__ == "__main__":
    *sources, output = sys.argv[1:]
    with open(output, "w", encoding="utf-8") as file:
        json.dump(convert(sources), file)
