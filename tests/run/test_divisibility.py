"""What cannot be divided evenly is refused before any work starts, by key."""

import pytest
import tiny
from keys import changed

from lofi_jax.errors import UserError
from lofi_jax.run import divisibility
from lofi_jax.training.sharding import make_mesh


def check(mesh=(1, 1), **keys):
    dotted = {key.replace("__", "."): value for key, value in keys.items()}
    divisibility.check(changed(tiny.get_config(), dotted), make_mesh(*mesh))


def test_what_divides_passes():
    check()
    check((2, 4), joint__accumulate=2, joint__chunk=1, extract__chunk=4)
    check((2, 1), rows="acp/actionformer,lofi/actionformer", classifier__batch_size=3)


@pytest.mark.parametrize(
    ("mesh", "keys", "says"),
    [
        ((4, 2), {"pretrain__batch_size": 12}, "pretrain.batch_size: 12.*by 8 devices"),
        ((4, 1), {"joint__batch_size": 6}, "joint.batch_size: 6.*by 4 devices"),
        ((4, 1), {"head_training__batch_size": 6}, "head_training.batch_size: 6.*by 4 devices"),
        ((4, 1), {"classifier__batch_size": 6}, "classifier.batch_size: 6.*by 4 devices"),
        (
            (1, 1),
            {"rows": "acp_plus", "fine_tune__batch_size": 3, "joint__accumulate": 3},
            None,
        ),
        ((2, 1), {"rows": "acp_plus", "fine_tune__batch_size": 3}, "fine_tune.batch_size: 3"),
        ((1, 1), {"joint__accumulate": 3}, "batch_size: 4.*by 3 microbatches of joint.accumulate"),
        ((1, 1), {"joint__chunk": 3}, "joint.chunk: a chunk of 3 snippets.*the 16 that"),
        ((1, 1), {"extract__chunk": 5}, "extract.chunk: a chunk of 5 snippets.*the 32 that"),
        ((1, 8), {}, "mesh.snippet: 4 snippets cannot be spread over 8 devices"),
    ],
)
def test_what_does_not_is_named(mesh, keys, says):
    if says is None:
        return check(mesh, **keys)
    with pytest.raises(UserError, match=says):
        check(mesh, **keys)
