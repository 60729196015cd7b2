"""What `import lofi_jax` offers, and what it costs."""

import ast
import pathlib
import subprocess
import sys

import pytest

import lofi_jax

HEAVY = {"jax", "flax", "optax", "orbax", "grain", "tensorflow_datasets", "cv2", "matplotlib"}
EVALUATION = """
import numpy as np, lofi_jax
from lofi_jax.detection import bootstrap, buckets, diagnosis, metrics, thresholds
from lofi_jax.results import ground_truth, predictions
found = lofi_jax.Detections([[1, 2]], ["run"], [0.5], "v").suppress()
columns = predictions.instances(predictions.of_detections({"v": found}), ["v"], ["run"])
print(metrics.evaluate(columns, columns, 1, np.array([0.5]))["average_mAP"])
"""


# What types are checked by in the tests would refuse it before.
WRONG = """
import lofi_jax
found = lofi_jax.Detections([[1, 2]], ["run"], [0.5], "v")
for wrong in (
    lambda: lofi_jax.save_detections("x.json", None),
    lambda: lofi_jax.save_detections("x.json", [found]),
    lambda: lofi_jax.save_detections("x.json", {"v": [1]}),
    lambda: lofi_jax.save_detections("x.json", {3: found}),
    lambda: lofi_jax.Detections([], [], [], 3),
    lambda: lofi_jax.Detections([], [], [], None),
    lambda: found + None,
    lambda: found.top(0.5),
):
    try:
        wrong()
    except (TypeError, lofi_jax.UserError) as error:
        print(type(error).__name__, error)
"""


def run(code: str) -> list[str]:
    """What Python prints in a process of its own, and after it the modules that it has imported."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    return ended.stdout.splitlines()


def test_importing_the_package_imports_nothing_heavy():
    (modules,) = run("import lofi_jax; dir(lofi_jax)")
    assert not HEAVY & set(modules.split()) and "numpy" not in modules.split()


def test_evaluation_does_not_import_jax():
    average, modules = run(EVALUATION)
    assert float(average) == 1.0
    assert not HEAVY & set(modules.split())


def test_other_types_are_refused_in_words():
    *said, _ = run(WRONG)
    assert [line.partition(", not ")[0] for line in said] == [
        *2 * ["TypeError save Detections, or a dict of them by video"],
        "TypeError save Detections by video",
        *("UserError the video is 3", "UserError the video is 3", "UserError the video is None"),
        "TypeError unsupported operand type(s) for +: 'Detections' and 'NoneType'",
        "TypeError 'float' object cannot be interpreted as an integer",
    ]


def test_importing_the_package_takes_no_time():
    def seconds():
        command = [sys.executable, "-X", "importtime", "-c", "import lofi_jax"]
        report = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stderr
        return float(report.splitlines()[-1].split("|")[1]) / 1e6

    # The least of several: another process may have taken the processor.
    assert min(seconds() for _ in range(5)) < 0.2


@pytest.mark.parametrize("name", lofi_jax.__all__)
def test_every_name_is_there_and_documented(name):
    assert getattr(lofi_jax, name).__doc__
    assert name in dir(lofi_jax)


def test_what_is_imported_late_is_what_types_are_checked_against():
    tree = ast.parse(pathlib.Path(lofi_jax.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    stated = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in imports
        for alias in node.names
        if alias.asname
    }
    assert stated == lofi_jax._HOMES
    assert sorted(stated) == lofi_jax.__all__


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="'lofi_jax' has no attribute 'Detektions'"):
        lofi_jax.Detektions  # noqa: B018
