"""Which row of a run to take: the one that is named, or the one that scored best."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lofi_jax.config import rows_of
from lofi_jax.config.rows import Row
from lofi_jax.errors import UserError, there_are, warn
from lofi_jax.files import is_number, read_own_json
from lofi_jax.run import checkpoints
from lofi_jax.run.start import Run
from lofi_jax.run.workdir import Workdir


class Choice(NamedTuple):
    """A row, and why it was taken, such as "the better of 2 rows: average mAP 62.03"."""

    row: Row
    why: str


def of_results(rows: Sequence[Row], results: Mapping[str, Any]) -> Choice:
    """The row of the highest average mAP in what `results.json` holds; of equals the last. Where
    none of them was evaluated, the last row.
    """
    measured = {
        (row["start"], row["fidelity"], row["head"]): row["average_mAP"]
        for row in results.get("rows", ())
        if "average_mAP" in row
    }
    scores = {row: measured.get((row.start, row.fidelity, row.head)) for row in rows}
    known = [score for score in scores.values() if score is not None]
    if not known:
        return Choice(rows[-1], "the last row, since none was evaluated")
    best = [row for row in rows if scores[row] == max(known)][-1]
    of = f"the best of {len(known)} rows: " if len(known) > 1 else ""
    return Choice(best, f"{of}average mAP {100 * max(known):.2f}")


def of_workdir(rows: Sequence[Row], workdir: Workdir, name: str = "") -> Choice:
    """The row of a name, or as `of_results`, with what the workdir's run has measured.

    Raises:
        UserError: there is no such row.
    """
    if name:
        return named(rows, name)
    return of_results(rows, _measured(workdir))


def _measured(workdir: Workdir) -> Mapping[str, Any]:
    """What a workdir's `results.json` holds, nothing where it has another form."""
    path = workdir.results
    results = read_own_json(path) if path.exists() else {}
    if isinstance(results, Mapping) and _are_rows(results.get("rows", [])):
        return results
    warn([f"{path}: not the results of a run, so none is used: delete it and run again"])
    return {}


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, list) and all(map(_is_row, rows))


def _is_row(row: Any) -> bool:
    """Whether it was not evaluated, or tells which row it is and how it scored."""
    if not isinstance(row, Mapping):
        return False
    names = [row.get(key) for key in ("start", "fidelity", "head")]
    return "average_mAP" not in row or (
        is_number(row["average_mAP"]) and all(isinstance(name, str) for name in names)
    )


def trained(run: Run, name: str = "") -> Choice:
    """As `of_workdir`, of the rows of a run that are trained.

    Raises:
        UserError: none is, or none of that name.
    """
    rows = [row for row in rows_of(run.config) if checkpoints.of_head(run, row).is_dir()]
    if not rows:
        raise UserError(f"{run.workdir.root}: holds no trained head: let the run finish first")
    return of_workdir(rows, run.workdir, name)


def named(rows: Sequence[Row], name: str) -> Choice:
    """The row of a name, such as lofi_temporal_gtad.

    Raises:
        UserError: there is none.
    """
    for row in rows:
        if row.name == name:
            return Choice(row, "as named")
    known = there_are(str(name), [row.name for row in rows])
    raise UserError(f"no trained row {name!r}: {known}")
