"""The command lines of the benchmarks, and the machine that they name."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.command_line import new_parser, read
from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").glob("*/*.py")
    if '__name__ == "__main__"' in path.read_text("utf-8")
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_says_what_it_takes_and_can_be_quick(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(script).main()
    assert ended.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_the_page_of_numbers_names_every_benchmark_and_how_long_its_quick_run_takes() -> None:
    page = (ROOT / "docs" / "numbers.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)[^|]*`[^|]*\|.*\| (\d+|-) \|$", page, re.MULTILINE)
    assert sorted(f"benchmarks.{name}" for name, _ in rows) == [name.removesuffix(".__main__") for name in SCRIPTS]
    assert all(seconds == "-" or int(seconds) < 120 for _, seconds in rows)


def test_quick_changes_what_the_command_line_does_not_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def arguments(*given: str) -> argparse.Namespace:
        parser = new_parser(None)
        parser.add_argument("--pictures", type=int, default=20)
        parser.set_defaults(sizes=(96, 512))
        monkeypatch.setattr(sys, "argv", ["benchmark", *given])
        return read(parser, {"pictures": 2, "sizes": (96,)})

    full, quick, more = arguments(), arguments("--quick"), arguments("--pictures", "5", "--quick")
    assert (full.pictures, full.sizes) == (20, (96, 512))
    assert (quick.pictures, quick.sizes) == (2, (96,))
    assert (more.pictures, more.sizes) == (5, (96,))
    headings = capsys.readouterr().out.splitlines()
    assert [line.startswith(machine()) for line in headings] == [True] * 3
    assert ["quick" in line for line in headings] == [False, True, True]


def test_the_machine_is_named_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cores, kind, precision, version = machine("cpu", torch.bfloat16).split(", ")
    assert cores == "1 CPU core"
    assert precision == "bfloat16"
    assert version == f"torch {torch.__version__.split('+')[0]}"
    flags = Path("/proc/cpuinfo")
    if flags.exists() and torch.backends.cpu.get_cpu_capability():
        known = set(flags.read_text("utf-8").split())
        assert kind == ("AVX512" if "avx512f" in known else "AVX2" if "avx2" in known else kind)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert machine().startswith("2 CPU cores, ")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert machine("cuda", torch.bfloat16).startswith("NVIDIA H200, bfloat16, torch ")
