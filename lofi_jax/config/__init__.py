"""Configs: their keys, defaults and meaning, and the checks before any work starts.

A config file under configs/ calls `defaults()`, changes what it needs and returns the result; its
keys are locked, so a misspelt key is an error.
"""

from lofi_jax.auto import AUTO as AUTO
from lofi_jax.config.adatad_settings import adatad as adatad
from lofi_jax.config.checks import validate as validate
from lofi_jax.config.checks import validate_data as validate_data
from lofi_jax.config.paper_settings import paper as paper
from lofi_jax.config.saved import differing_keys as differing_keys
from lofi_jax.config.saved import from_json as from_json
from lofi_jax.config.saved import to_json as to_json
from lofi_jax.config.settings import DTYPES as DTYPES
from lofi_jax.config.settings import Config as Config
from lofi_jax.config.typed import defaults as defaults
from lofi_jax.config.typed import named as named
from lofi_jax.config.typed import optimizer as optimizer
from lofi_jax.config.typed import typed as typed
from lofi_jax.config.values import fidelities as fidelities
from lofi_jax.config.values import full_fidelity as full_fidelity
from lofi_jax.config.values import rows_of as rows_of
from lofi_jax.config.values import suppression as suppression
from lofi_jax.config.values import tious as tious
from lofi_jax.shipped import load as load
