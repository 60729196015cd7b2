"""Puts configs/, which lies beside the package, into it; all else about the package is in
pyproject.toml.
"""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_packages(include=["lofi_jax*"]),
        *(
            f"lofi_jax.{name}"
            for name in find_namespace_packages(include=["configs*"], exclude=["*__pycache__"])
        ),
    ],
    package_dir={"lofi_jax.configs": "configs"},
)
