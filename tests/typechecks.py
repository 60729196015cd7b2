"""What checks the package's signatures while the tests run; see conftest.py."""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

# To the type checker a whole number is a float; NumPy's numbers are as good as Python's.
_NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.integer | np.floating})
check = beartype(conf=BeartypeConf(hint_overrides=_NUMBERS))
