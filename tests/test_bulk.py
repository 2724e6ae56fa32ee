"""Bulk generation: every picture once, whatever stopped the runs before; refusals, operations and layouts."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from robust_synthesis.bulk import Job, JobError, make_all
from robust_synthesis.bulk.__main__ import main
from robust_synthesis.bulk.cluster import Cluster
from robust_synthesis.bulk.making import load
from robust_synthesis.models import RobustClassifier, save_classifier
from tests.picture_makers import make_scenes, scene

FEW = {"steps": 2, "detail_steps": 0}
Record = dict[str, Any]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, tiny: RobustClassifier) -> str:
    path = tmp_path_factory.mktemp("bulk") / "tiny.safetensors"
    save_classifier(tiny, path)
    return str(path)


@pytest.fixture
def jobs(classifier: str) -> list[Job]:
    """Two classes, 7 and 6 pictures."""
    common: dict[str, Any] = {"operation": "generate", "classifier": classifier, "values": FEW}
    return [
        Job(**common, target_class="class_1", count=7),
        Job(**common, target_class="class_0:0.7, -class_2", count=6, seed=5),
    ]


def manifest(folder: Path) -> list[Record]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


def hashes(folder: Path) -> dict[str, str]:
    """The pictures of a folder by name; its manifest has each of them once, with its hash."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    records = manifest(folder)
    assert sorted(record["file"] for record in records) == sorted(found)
    listed = {record["file"]: record["sha256"] for record in records}
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    return listed


def make(jobs: list[Job], folder: Path, **options: Any) -> int:
    return make_all(jobs, folder, device="cpu", batch_size=4, **options).made


def stopping(at: int) -> Callable[[int, int], None]:
    def report(done: int, _count: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    return report


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_run_that_was_killed_twice_misses_nothing_and_makes_nothing_twice(
    classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ["generate", "--class", "class_1", "--count", "400", "--classifier", classifier, "--batch", "4"]
    words += ["--set", "steps=4", "--set", "detail_steps=0"]
    for listed in (8, 40):
        command = [sys.executable, "-m", "robust_synthesis.bulk", *words, "--out", str(out)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        path = out / "manifest.jsonl"
        while process.poll() is None and time.monotonic() < give_up:
            if path.exists() and path.read_text().count("\n") >= listed:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    there = len(list((out / "class_1").glob("*.png")))
    assert there < 400
    assert main([*words, "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{400 - there} made")
    assert main([*words, "--out", str(whole)]) == 0
    assert len(hashes(out)) == 400
    assert hashes(out) == hashes(whole)
    assert not (out / ".partial").exists()


def test_a_run_that_was_stopped_anywhere_ends_as_one_that_was_not(jobs: list[Job], tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert make(jobs, whole) == 13
    for at in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            make(jobs, out, report=stopping(at))
    # As after a kill between a picture and its line, and in the middle of a line.
    lines = (out / "manifest.jsonl").read_text().splitlines()
    (out / "manifest.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:30])
    # As if someone removed a picture that was no good.
    (out / json.loads(lines[0])["file"]).unlink()
    there = len(list(out.rglob("*.png")))
    assert make(jobs, out) == 13 - there
    assert hashes(out) == hashes(whole)
    assert make(jobs, out) == 0
    # A manifest that is lost, or garbage, is made again from the pictures.
    (out / "manifest.jsonl").unlink()
    assert make(jobs, out) == 0
    (out / "manifest.jsonl").write_bytes(b"\0\0\xff\n" + (whole / "manifest.jsonl").read_bytes()[:200])
    assert make(jobs, out) == 0
    assert hashes(out) == hashes(whole)


def test_pictures_hold_their_record_and_jobs_may_be_added(jobs: list[Job], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert make(jobs[:1], out) == 7
    assert make(jobs, out) == 6
    record = manifest(out)[8]
    assert (record["number"], record["seed"], record["file"]) == (8, 6, "class_0_0.7_-class_2/0000008.png")
    with Image.open(out / record["file"]) as picture:
        assert picture.size == (32, 32)
        assert json.loads(picture.info["robust_synthesis"]) == {k: v for k, v in record.items() if k != "sha256"}
    with pytest.raises(JobError, match="pictures of other jobs"):
        make(jobs[1:], out)
    with pytest.raises(JobError, match="pictures of other jobs"):
        make(jobs[:1], out)


def test_the_size_of_a_batch_changes_a_picture_by_rounding_only(jobs: list[Job], tmp_path: Path) -> None:
    for size in (1, 7):
        assert make_all(jobs[:1], tmp_path / str(size), device="cpu", batch_size=size).made == 7
    for record in manifest(tmp_path / "1"):
        one, seven = (Image.open(tmp_path / size / record["file"]).tobytes() for size in ("1", "7"))
        assert max(abs(a - b) for a, b in zip(one, seven, strict=True)) <= 1


def test_shards_are_written_whole_and_resumed(jobs: list[Job], tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    make(jobs, whole)
    with pytest.raises(KeyboardInterrupt):
        make(jobs, out, shard_size=5, report=stopping(7))
    assert [path.name for path in out.glob("*.tar")] == ["000000000-000000004.tar"]
    (out / "manifest.jsonl").write_text("")
    assert make(jobs, out, shard_size=5) == 6
    found: dict[str, str] = {}
    for shard in sorted(out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            names = tar.getnames()
            assert [name.split(".")[1] for name in names] == ["png", "json"] * (len(names) // 2)
            parts = [tar.extractfile(name) for name in names]
            contents = [part.read() for part in parts if part]
        for png, record in zip(contents[::2], map(json.loads, contents[1::2]), strict=True):
            found[record["file"]] = hashlib.sha256(png).hexdigest()
    assert found == hashes(whole)
    assert [record["number"] for record in manifest(out)] == list(range(13))
    assert {path.name for path in out.iterdir()} <= {
        *(path.name for path in out.glob("*.tar")),
        "manifest.jsonl",
        ".lock",
    }
    assert make(jobs, out, shard_size=5) == 0


@pytest.mark.parametrize("later_size", [5, 4])
def test_jobs_may_be_added_to_shards(jobs: list[Job], tmp_path: Path, later_size: int) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    make(jobs, whole)
    # 7 pictures: the second shard has two.
    assert make(jobs[:1], out, shard_size=5) == 7
    assert make(jobs, out, shard_size=later_size) == 6
    assert not (out / ".loose").exists()
    found: dict[str, str] = {}
    for shard in out.glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                part = tar.extractfile(member)
                assert part
                content = part.read()
                if member.name.endswith(".png"):
                    png = hashlib.sha256(content).hexdigest()
                else:
                    name = json.loads(content)["file"]
                    assert name not in found
                    found[name] = png
    assert found == hashes(whole)
    assert sorted(record["number"] for record in manifest(out)) == list(range(13))
    assert make(jobs, out, shard_size=later_size) == 0
    with pytest.raises(JobError, match="was begun with --shards"):
        make(jobs, out)
    with pytest.raises(JobError, match="was begun without --shards"):
        make(jobs, whole, shard_size=5)


def test_no_two_pictures_have_one_name(classifier: str, tmp_path: Path) -> None:
    make_scenes(tmp_path / "photos" / "class_1", 2)
    (tmp_path / "photos" / "class_1" / "00.png").rename(tmp_path / "photos" / "class_1" / "0000002.png")
    common: dict[str, Any] = {"classifier": classifier, "target_class": "class_1", "values": FEW}
    jobs = [
        Job(**common, operation="translate", picture=str(tmp_path / "photos")),
        Job(**common, operation="generate", count=2),
    ]
    assert make(jobs, tmp_path / "out") == 4
    assert len(hashes(tmp_path / "out")) == 4
    assert make(jobs, tmp_path / "out") == 0


def test_a_table_of_all_operations(classifier: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_scenes(photos, 2)
    scene(2, (40, 48)).save(photos / "other.jpg")
    (photos / "damaged.png").write_bytes(b"no picture")
    Image.new("L", (96, 80), 255).save(tmp_path / "mask.png")
    rows: list[dict[str, Any]] = [
        {"operation": "generate", "target_class": "class_2", "count": 2, "width": 40, "height": 24},
        {"operation": "translate", "target_class": "class_2", "picture": str(photos)},
        {"operation": "upsample", "picture": str(photos / "00.png"), "factor": 2, "values": {"steps": 2}},
        {"operation": "inpaint", "picture": str(photos / "01.png"), "mask": str(tmp_path / "mask.png")},
    ]
    table = tmp_path / "jobs.jsonl"
    table.write_text("\n".join(json.dumps({"values": FEW, "classifier": classifier, **row}) for row in rows))
    # The damaged picture is named, and does not cost the others.
    assert main(["jobs", str(table), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    sizes = {name: Image.open(tmp_path / "out" / name).size for name in hashes(tmp_path / "out")}
    assert sizes == {
        "class_2/0000000.png": (40, 24),
        "class_2/0000001.png": (40, 24),
        "00.png": (96, 80),
        "01.png": (96, 80),
        "other.png": (40, 48),
        "00-0000006.png": (192, 160),
        "01-0000007.png": (96, 80),
    }
    csv = tmp_path / "jobs.csv"
    csv.write_text(
        f'operation,target_class,classifier,seed,values\ngenerate,class_2,{classifier},3,"{{""steps"": 2}}"\n'
    )
    assert main(["jobs", str(csv), "--out", str(tmp_path / "csv"), "--device", "cpu"]) == 0
    assert manifest(tmp_path / "csv")[0]["seed"] == 3


def test_a_parquet_table(classifier: str, tmp_path: Path) -> None:
    common = {"operation": "generate", "target_class": "class_2", "classifier": classifier}
    # A struct, in which each row has the keys of all.
    rows = [{**common, "values": FEW}, {**common, "seed": 7, "values": {"steps": 1}}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "jobs.parquet")
    assert main(["jobs", str(tmp_path / "jobs.parquet"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert [record["values"] for record in manifest(tmp_path / "out")] == [FEW, {"steps": 1}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("generate --class zebra", "There is no class 'zebra'"),
        ("generate --class=-class_1", "has only classes with a minus"),
        ("generate --class class_1 --preset none", "There is no preset 'none' of generate"),
        ("generate --class class_1 --set steps=0", "Steps is 0"),
        ("generate --class class_1 --set colour=1", "has no setting colour"),
        ("generate --class class_1 --size 4x4", "each side is from 16"),
        ("generate --class class_1 --count 0", "count is 0"),
        ("generate --class class_1 --seed -1", "seed is -1"),
        ("translate --class class_1 --from nowhere", "There is no picture or folder 'nowhere'"),
        ("upsample --from {photos} --factor 11", "The factor is 11"),
        ("inpaint --from {photos} --mask {masks}", "There is no mask for '01'"),
        ("jobs {photos}/00.png", "is no list of jobs"),
        ("jobs nothing.csv", "There is no file 'nothing.csv'"),
        ("jobs {photos}/a.jsonl", "row 2: generate needs a class"),
        ("jobs {photos}/b.jsonl", "has a column 'klass'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_made(
    classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    make_scenes(photos, 2)
    make_scenes(masks, 1)
    (photos / "a.jsonl").write_text('{"operation": "generate", "target_class": "sea"}\n{"operation": "generate"}\n')
    (photos / "b.jsonl").write_text('{"operation": "generate", "klass": "sea"}\n')
    command = words.format(photos=photos, masks=masks).split()
    if command[0] != "jobs":
        command += ["--classifier", classifier]
    assert main([*command, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_or_another_run_is_refused(jobs: list[Job], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("dear diary")
    with pytest.raises(JobError, match="holds other files"):
        make(jobs, tmp_path / "other")

    def second(done: int, _count: int) -> None:
        if done == 0:
            with pytest.raises(JobError, match="Another run is writing"):
                make(jobs, tmp_path / "out")

    assert make(jobs, tmp_path / "out", report=second) == 13


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_ray_cluster_makes_the_same_pictures_though_a_worker_is_killed(classifier: str, tmp_path: Path) -> None:
    # Ray is as large as all else that the tests need: whoever changes `cluster.py` installs it.
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e .[ray]")
    jobs = [Job(operation="generate", classifier=classifier, target_class="class_1", count=400, values={"steps": 6})]
    make(jobs, tmp_path / "whole")
    killed: list[int] = []

    def kill_one(done: int, _count: int) -> None:
        workers = [p for p in psutil.Process().children(recursive=True) if "_Worker" in p.name() + "".join(p.cmdline())]
        if done and not killed and workers:
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    make(jobs, tmp_path / "out", cluster=Cluster(workers=2), report=kill_one)
    assert killed
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_all_classes_are_made_where_some_share_their_first_name(tmp_path: Path, tiny: RobustClassifier) -> None:
    card = replace(tiny.card, labels=("Crane", "crane, machine", "crane"))
    save_classifier(RobustClassifier(tiny.network, card, tiny.seeds), tmp_path / "cranes.safetensors")
    words = ["--classifier", str(tmp_path / "cranes.safetensors"), "--set", "steps=2"]
    classes = ["--class", "1:0.5, 2:0.5", "--class", "all", "--class", "CRANE"]
    assert main(["generate", *words, *classes, "--out", str(tmp_path / "out")]) == 0
    assert len(set(hashes(tmp_path / "out").values())) == 4


def test_a_run_whose_classes_were_renamed_since_is_refused(
    tmp_path: Path, tiny: RobustClassifier, capsys: pytest.CaptureFixture[str]
) -> None:
    save_classifier(tiny, tmp_path / "tiny.safetensors")
    words = ["generate", "--class", "1", "--classifier", str(tmp_path / "tiny.safetensors"), "--set", "steps=2"]
    words += ["--out", str(tmp_path / "out")]
    assert main(words) == 0
    names = [f"tree {index}" for index in range(len(tiny.labels))]
    (tmp_path / "tiny.json").write_text(json.dumps({"labels": names}))
    load.cache_clear()
    assert main(words) == 1
    assert "Choose a new folder" in capsys.readouterr().err
