"""PyTorch's side of bench_step.py: runs in a process of its own, which keeps each loaded way of
doing the work.
"""

import contextlib
import gc
import pathlib
import re
import time

import torch
import torch_nets
from step_work import MOMENTUM, RATE
from torch.utils.checkpoint import checkpoint

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_STATUS = pathlib.Path("/proc/self/status")
_loaded = []


def limit_memory(fraction: float) -> str:
    """Leaves the rest of the GPU's memory to the other side; says what PyTorch this is."""
    if DEVICE == "cuda":
        torch.cuda.set_per_process_memory_fraction(fraction)
        torch.backends.cudnn.benchmark = True
    return f"PyTorch {torch.__version__} on {DEVICE}"


def compiles() -> str:
    """Why torch.compile does not work here; empty where it does."""
    try:
        torch.compile(lambda x: (x * 2 + 1).relu())(torch.ones(64, device=DEVICE))
    except Exception as error:
        return str(error).strip().splitlines()[0][:120]
    return ""


def matmul_seconds(size: int, dtype: str) -> float:
    """The fastest of a few products of two square matrices."""
    a = torch.randn(size, size, device=DEVICE).to(getattr(torch, dtype))
    _seconds(lambda: a @ a)
    return min(_seconds(lambda: a @ a) for _ in range(5))


def weights(work, arrays) -> tuple[dict, dict]:
    """The encoder's and the head's weights that every load begins from, by their public names."""
    encoder, head = _models(work, arrays)
    named = encoder.resnet.state_dict(), head.state_dict()
    return tuple({key: x.cpu().numpy() for key, x in part.items()} for part in named)


def load(work, arrays, chunk: int, compiled: bool):
    """Makes the work ready, and does it twice.

    Args:
        work: a `step_work.Work`.
        arrays: of `step_work.for_torch`.
        chunk: snippets encoded at once, recomputed in the backward pass; 0: all at once.
        compiled: by torch.compile.

    Returns:
        Its number, what it gave at first, and the most memory it took in GiB; None where it did not
        fit.
    """
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
    before = _reset_peak()
    try:
        do = {"joint": _joint, "extract": _extract, "head": _head}[work.kind]
        do = do(work, arrays, chunk, torch.compile if compiled else lambda f, **_: f)
        found = {name: x.float().cpu().numpy() for name, x in do().items()}
        do()
    except torch.OutOfMemoryError:
        return None
    _loaded.append(do)
    return len(_loaded) - 1, found, _peak() - before


def seconds(number: int) -> float:
    """Does a loaded work once."""
    return _seconds(_loaded[number])


def unload() -> None:
    """Forgets all loaded works."""
    _loaded.clear()
    torch._dynamo.reset()


def _models(work, arrays):
    torch.manual_seed(0)
    encoder = torch_nets.TSM(work.encoder, work.frames)
    matrices = (
        torch.from_numpy(arrays[name]).to(getattr(torch, work.dtype))
        for name in ("inner", "context")
    )
    head = torch_nets.GTAD(work.width, *matrices)
    return encoder.to(DEVICE), head.to(DEVICE)


def _autocast(work):
    if work.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(DEVICE, getattr(torch, work.dtype))


def _training(work, arrays, optimizer, outputs):
    """A step, given how the outputs are computed."""
    names = ("ious", "start", "end")
    labels = {name: torch.from_numpy(arrays[name]).to(DEVICE) for name in names}

    def step():
        optimizer.zero_grad(set_to_none=True)
        with _autocast(work):
            found = outputs()
        terms = torch_nets.loss(found, labels)
        sum(terms.values()).backward()
        optimizer.step()
        return {name: x.detach() for name, x in terms.items()}

    return step


def _joint(work, arrays, chunk, compile_):
    encoder, head = _models(work, arrays)
    encode, propose = (compile_(module, dynamic=False) for module in (encoder, head))
    frames = torch.from_numpy(arrays["frames"]).to(DEVICE)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(
        parameters, lr=RATE, momentum=MOMENTUM, fused=DEVICE == "cuda" or None
    )

    def outputs():
        snippets = frames.flatten(0, 1)
        if chunk:
            parts = [checkpoint(encode, x, use_reentrant=False) for x in snippets.split(chunk)]
            features = torch.cat(parts)
        else:
            features = encode(snippets)
        return propose(features.unflatten(0, frames.shape[:2]))

    return _training(work, arrays, optimizer, outputs)


def _head(work, arrays, chunk, compile_):
    _, head = _models(work, arrays)
    propose = compile_(head, dynamic=False)
    features = torch.from_numpy(arrays["features"]).to(DEVICE)
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE, fused=DEVICE == "cuda" or None)
    return _training(work, arrays, optimizer, lambda: propose(features))


def _extract(work, arrays, chunk, compile_):
    encoder, _ = _models(work, arrays)
    encode = compile_(encoder, dynamic=False)

    @torch.inference_mode()
    def extract():
        frames = torch.from_numpy(arrays["frames"]).to(DEVICE)
        snippets = frames.flatten(0, 1)
        with _autocast(work):
            parts = [encode(x) for x in snippets.split(chunk or len(snippets))]
        return {"features": torch.cat(parts).unflatten(0, frames.shape[:2]).cpu()}

    return extract


def _seconds(do) -> float:
    started = time.perf_counter()
    do()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _reset_peak() -> float:
    """Starts to watch the most memory that is held; what is held now, in GiB."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**30
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def _peak() -> float:
    """The most since `_reset_peak`, in GiB."""
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return _resident("VmHWM")


def _resident(key: str) -> float:
    return int(re.search(rf"{key}:\s+(\d+)", _STATUS.read_text())[1]) / 2**20
