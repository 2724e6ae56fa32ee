"""Training in several processes that torchrun started: each takes its rows of every batch.

Without `join` there is one process, which takes all rows, and nothing here changes anything.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the first process evaluates."""

T = TypeVar("T")
_control: Any = None
"""The group for all but gradients and batch norms, on the CPU; None: there is one process."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return int(os.environ["LOCAL_RANK"]) if launched() else 0


def own_device(name: str) -> str:
    """The device of this process among those that a name may mean: a GPU each."""
    return f"cuda:{local_rank()}" if launched() and name == "cuda" else name


def join(device: torch.device) -> None:
    """Connect this process to the others, which all call this.

    Args:
        device: that this process trains on; no other process does, unless it is the CPU.

    Raises:
        ValueError: processes cannot share the work on such a device.
    """
    global _control
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"Several processes train on 'cuda' or 'cpu', not on '{device.type}': add --device cpu.")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    _control = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)


def leave() -> None:
    """Disconnect, after a run that ended alike in all processes."""
    global _control
    if _control is not None:
        _control = None
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if _control is None else dist.get_rank()


def world_size() -> int:
    """How many processes there are."""
    return 1 if _control is None else dist.get_world_size()


def own_rows(first: int = 0) -> slice:
    """The rows that this process takes of a batch, or of its part that begins with the row `first`."""
    return slice((rank() - first) % world_size(), None, world_size())


def own_share(own: int, count: int) -> float:
    """What a mean over this process's rows, `own` of `count`, is multiplied by, so that the mean over the processes is
    that over all rows."""
    return own * world_size() / count


def gathered(own: Tensor, count: int) -> Tensor:
    """All rows `[count, ...]`, of every process's own rows."""
    if _control is None:
        return own
    rows = own.new_zeros(count, *own.shape[1:])
    rows[own_rows()] = own
    dist.all_reduce(rows)
    return rows


def mean_of_all(values: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if _control is not None:
        dist.all_reduce(values)
        values /= world_size()
    return values


def from_first(compute: Callable[[], T]) -> T:
    """What the first process computes, in all of them; what it raises is raised in all of them.

    Results and exceptions are pickled.
    """
    if _control is None:
        return compute()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = compute()
        except BaseException as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, 0, _control, torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


def anywhere(condition: bool) -> bool:
    """Whether a condition holds in any process."""
    if _control is None:
        return condition
    found = torch.tensor(int(condition))
    dist.all_reduce(found, dist.ReduceOp.MAX, _control)
    return bool(found)


def together(action: Callable[[], None]) -> None:
    """Do something in every process; where it raises in one, KeyboardInterrupt is raised in the others."""
    if _control is None:
        action()
        return
    error: BaseException | None = None
    try:
        action()
    except BaseException as raised:
        error = raised
    if anywhere(error is not None):
        raise error or KeyboardInterrupt


def wait_for_others() -> None:
    """Return when all processes have called this."""
    if _control is not None:
        dist.barrier(_control)


def data_parallel(network: nn.Module) -> nn.Module:
    """A network with the same tensors that learns from the batches of all processes; with one process, the network.

    Backward passes give the mean of the processes' gradients. Batch norms take the statistics of all rows.
    """
    if _control is None:
        return network
    device = next(network.parameters()).device
    # The network itself keeps its modules, and so may be copied, folded and saved.
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    shared = copy.deepcopy(network, tensors)
    if device.type == "cuda":
        shared = nn.SyncBatchNorm.convert_sync_batchnorm(shared)
    else:
        for module in shared.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = _SyncBatchNormOnCPU
    devices = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(shared, device_ids=devices)


class _SyncBatchNormOnCPU(nn.BatchNorm2d):
    """torch's SyncBatchNorm is for GPUs only."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None, "it is tracked"
        assert self.running_var is not None, "it is tracked"
        assert self.num_batches_tracked is not None, "it is tracked"
        assert self.momentum is not None, "torch's default"
        x = input.float()
        count = _sum_of_all(x.new_tensor([x.numel() / x.shape[1]]))
        mean = _sum_of_all(x.sum((0, 2, 3))) / count
        variance = _sum_of_all((x - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(input.dtype)


class _SumOfAll(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_of_all(values: Tensor) -> Tensor:
    """The sum over the processes, with a gradient."""
    total: Tensor = _SumOfAll.apply(values)
    return total
