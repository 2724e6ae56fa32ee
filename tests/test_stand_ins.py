"""Objects beside the weights are read as inert stand-ins: nothing is imported, and nothing runs."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import enum
import functools
import pathlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from robust_synthesis.models import CheckpointError, open_classifier
from robust_synthesis.models.stand_ins import StandIn
from robust_synthesis.models.third_party import read_third_party
from tests.checkpoint_layouts import MEAN, Normalised, random_network

SMALL = "shufflenet_v2_x1_0"


class Config:
    """A class of training code, which this machine would not have."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class AttributeDict(dict[str, Any]):
    """As yacs, EasyDict, addict and Lightning have it."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.frozen = True


class Meter(collections.deque[float]):
    pass


class Slots:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, 2


class Phase(enum.Enum):
    TRAIN = "train"


def schedule() -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1), 10)


def loss(scores: Tensor) -> Tensor:
    return scores.mean()


BESIDE: dict[str, Callable[[], Any]] = {
    "numpy scalars": lambda: [numpy.float64(0.9), numpy.float32(0.9), numpy.int64(3), numpy.bool_(True)],
    "numpy dtypes": lambda: [numpy.dtype("float32"), numpy.float32, numpy.dtype("int64")],
    "numpy arrays": lambda: {"losses": numpy.arange(5.0), "names": numpy.array(["a", "b"])},
    "namespace": lambda: argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
    "paths": lambda: [pathlib.Path("a/b"), pathlib.PurePosixPath("c"), pathlib.PureWindowsPath("d")],
    "optimizer": lambda: torch.optim.AdamW(nn.Linear(2, 2).parameters()),
    "schedule": schedule,
    "schedule state": lambda: {"lr_lambdas": [None], "milestones": collections.Counter([30, 60])},
    "config": lambda: Config(lr=0.1, data=Config(size=32)),
    "attribute dict": lambda: AttributeDict(lr=0.1, data=AttributeDict(size=32)),
    "default dict": lambda: collections.defaultdict(list, {"loss": [0.1]}),
    "nested default dict": lambda: collections.defaultdict(dict, {"a": collections.defaultdict(int, {"b": 1})}),
    "deque": lambda: collections.deque([1.0, 2.0], maxlen=20),
    "own deque": lambda: Meter([0.1, 0.2]),
    "slots": Slots,
    "enum": lambda: Phase.TRAIN,
    "time": lambda: [datetime.datetime(2024, 1, 1), datetime.timedelta(3), decimal.Decimal("0.1")],
    "simple namespace": lambda: types.SimpleNamespace(a=1),
    "partial": lambda: functools.partial(loss, torch.ones(2)),
    "function": lambda: loss,
    "set": lambda: [{1, 2}, frozenset([3]), range(4), slice(1), complex(1, 2), b"bytes"],
    "generator": lambda: numpy.random.RandomState(3).get_state(),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", BESIDE)
def test_weights_are_read_whatever_is_beside_them(tmp_path: Path, kind: str, legacy: bool) -> None:
    network = random_network(SMALL, 3)
    content = {"before": BESIDE[kind](), "state_dict": network.state_dict(), "after": BESIDE[kind]()}
    path = tmp_path / "with.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    classifier, _ = read_third_party(path)
    assert torch.equal(classifier.network.get_classifier().weight, network.get_classifier().weight)


def test_a_module_beside_the_weights_is_passed_over(tmp_path: Path) -> None:
    # torch's older format stores the source code of modules, which its reader refuses.
    network = random_network(SMALL, 3)
    path = tmp_path / "with.pth"
    torch.save({"criterion": nn.CrossEntropyLoss(weight=torch.ones(3)), "net": network.state_dict()}, path)
    classifier, _ = read_third_party(path)
    assert torch.equal(classifier.network.get_classifier().weight, network.get_classifier().weight)


def test_a_network_that_was_pickled_whole_is_read(tmp_path: Path) -> None:
    wrapper = Normalised(random_network(SMALL, 3))
    path = tmp_path / "whole.pth"
    for content in (wrapper, nn.DataParallel(wrapper), {"epoch": 3, "ema": wrapper}):
        torch.save(content, path)
        classifier, sentences = read_third_party(path)
        assert classifier.card.mean == pytest.approx(MEAN, abs=1e-6)
        assert f"a {SMALL} with 3 classes" in sentences
        images = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(classifier(images), wrapper.eval()(images), rtol=1e-5, atol=1e-5)


def test_nothing_is_imported_and_the_allow_list_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, package = tmp_path / "place", tmp_path / "files"
    place.mkdir()
    package.mkdir()
    marker = tmp_path / "marker"
    (place / "their_code.py").write_text(
        f"open({str(marker)!r}, 'w')\nclass Config:\n  def __setstate__(self, state): open({str(marker)!r}, 'w')\n"
    )
    monkeypatch.syspath_prepend(str(place))
    import their_code  # type: ignore[import-not-found]

    network = random_network(SMALL, 3)
    path = package / "with.pth"
    value = their_code.Config()
    value.a = 1
    torch.save({"config": value, "state_dict": network.state_dict()}, path)
    del sys.modules["their_code"]
    marker.unlink()
    mine: list[Any] = [(Config, "their_code.Config"), Config]
    with torch.serialization.safe_globals(mine):
        before = set(torch.serialization.get_safe_globals())
        read_third_party(path)
        assert set(torch.serialization.get_safe_globals()) == before
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(CheckpointError):
            read_third_party(path)
        assert set(torch.serialization.get_safe_globals()) == before
    assert "their_code" not in sys.modules
    assert not marker.exists()


def test_what_has_weights_of_an_unknown_class_is_refused_with_lines_that_save_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network(SMALL, 3)
    path = tmp_path / "mine.pth"
    monkeypatch.chdir(tmp_path)
    for content in ({"epoch": 3, "model_state_dict": network.state_dict()}, network.state_dict(), network):
        # torch's reader knows no protocol above 3.
        torch.save(content, path, pickle_protocol=4)
        with pytest.raises(CheckpointError) as raised:
            open_classifier(path)
        message = str(raised.value)
        assert message.startswith("mine.pth is refused: torch's safe reader cannot read it (it is pickled in a newer")
        assert "If you trust who made it, run these three lines" in message
        lines = message.splitlines()[1:]
        assert len(lines) == 3
        exec("\n".join(lines), {})
        classifier, _ = read_third_party(tmp_path / "mine-weights.pt")
        assert torch.equal(classifier.network.get_classifier().weight, network.get_classifier().weight)


class Weights(Tensor):
    """A tensor subclass, as fastai and torchao have them."""


def test_weights_of_a_tensor_subclass_are_refused_with_the_lines(tmp_path: Path) -> None:
    state = random_network(SMALL, 3).state_dict()
    state["fc.weight"] = state["fc.weight"].as_subclass(Weights)
    path = tmp_path / "subclass.pth"
    torch.save({"state_dict": state}, path)
    with pytest.raises(CheckpointError, match=r"subclass\.pth is refused.*\n.*\n.*\[\"state_dict\"\]\n"):
        open_classifier(path)


class Gadget:
    """Pickles as calls and states that a stand-in could be tricked with."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize(
    "gadget",
    [
        Gadget(getattr, (StandIn, "__init__")),
        Gadget(numpy.load, ("marker",)),
        Gadget(numpy.fromfile, ("marker",)),
        Gadget(pathlib.Path, ("marker",), {"touch": True}),
        Gadget(argparse.Namespace, (), {"__class__": 3, "__dict__": {"a": 1}, "__reduce__": 4}),
        Gadget(functools.partial, (loss,), (loss, ("marker",), {}, None)),
        Gadget(torch._utils._rebuild_parameter, (Gadget(Config, ()), False, {})),
        Gadget(torch._tensor._rebuild_from_type_v2, (Config, Config, (), {})),
        Gadget(torch.Tensor, (Gadget(Config, ()),)),
    ],
)
def test_no_gadget_does_anything(tmp_path: Path, gadget: Gadget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    init = StandIn.__init__
    path = tmp_path / "gadget.pth"
    torch.save({"beside": gadget, "state_dict": random_network(SMALL, 3).state_dict()}, path)
    try:
        read_third_party(path)
    except CheckpointError as error:
        assert "gadget.pth is refused" in str(error)  # noqa: PT017
    assert [file.name for file in tmp_path.iterdir()] == ["gadget.pth"]
    assert StandIn.__init__ is init
    assert not hasattr(StandIn(), "touch")


def test_a_pickle_of_many_names_or_of_itself_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "many.pt"
    names = b"".join(f"cm\nC{index}\n".encode() for index in range(5000))
    path.write_bytes(b"\x80\x02]" + b"(" + names + b"e.")
    with pytest.raises(CheckpointError):
        open_classifier(path)
    itself: dict[str, Any] = {}
    itself["again"] = [itself, {"b": itself}]
    # Each holds the one before twice: as many paths as the machine could never walk.
    shared: Any = {"weight": torch.ones(2, 2)}
    for _ in range(200):
        shared = {"a": shared, "b": shared}
    for content in (itself, shared):
        torch.save(content, path)
        with pytest.raises(CheckpointError):
            open_classifier(path)


def test_no_lines_are_given_for_a_file_without_weights_or_with_something_dangerous(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"model": Gadget(numpy.load, ("marker",))}, path, pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"There are no weights in it: take another file\.$"):
        open_classifier(path)
    torch.save({"model": torch.ones(2, 2), "beside": Gadget(eval, ("1",))}, path)
    with pytest.raises(CheckpointError, match=r"could run code.* take a file from another source\.$"):
        open_classifier(path)


def test_names_of_python_2_are_found(tmp_path: Path) -> None:
    path = tmp_path / "two.pt"
    path.write_bytes(b"\x80\x02c__builtin__\neval\nX\x03\x00\x00\x001+1\x85R.")
    with pytest.raises(CheckpointError, match=r"asks for builtins\.eval"):
        open_classifier(path)
