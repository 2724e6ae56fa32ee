"""Files that are no checkpoints although they are named like one: say what each is, and what to do with it."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .catalog import EXTENSIONS
from .state_dict import CheckpointError

PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "rar",
}
OTHER_PROGRAMS = {
    b"\x89HDF": "an HDF5 file, as Keras and TensorFlow write them",
    b"GGUF": "a GGUF file, which holds a language or diffusion model",
    b"\x93NUMPY": "a NumPy array",
}
LFS_POINTER = b"version https://git-lfs"
WEB_PAGE = re.compile(rb"\s*(<!doctype|<!--|<html|<head|<\?xml)", re.IGNORECASE)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OLDEST_FORMAT = {"sys_info", "pickle", "storages", "tensors"}
"""What a tar archive of torch before 0.1.10 contains."""


def refuse_other_kinds(path: Path) -> None:
    """Refuse a file of a kind that is known and is no checkpoint.

    Raises:
        CheckpointError: the message says what the file is, and what to do.
    """
    with path.open("rb") as file:
        start = file.read(300)
    if start.startswith(LFS_POINTER):
        size = re.search(rb"size (\d+)", start)
        whole = f" of {int(size[1]) / 1e6:.0f} MB" if size else ""
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer: a few lines of text in place of the file{whole}. Run 'git lfs pull' in "
            "its repository, or download the file itself from the repository's web page."
        )
    if WEB_PAGE.match(start.removeprefix(BYTE_ORDER_MARK)):
        raise CheckpointError(
            f"{path.name} is a web page, not a checkpoint. Delete it and download the file again, with the page's own "
            "download button (a link to the page saves the page)."
        )
    for signature, packer in PACKED.items():
        if start.startswith(signature):
            raise CheckpointError(
                f"{path.name} is packed with {packer}. Unpack it, and put the file that is inside in its place."
            )
    for signature, kind in OTHER_PROGRAMS.items():
        if start.startswith(signature):
            raise CheckpointError(f"{path.name} is {kind}. This pack reads PyTorch checkpoints and safetensors.")
    if start.startswith(b"PK"):
        _refuse_zip(path)
    elif start[257:262] == b"ustar":
        _refuse_tar(path)


def refuse_text(path: Path) -> None:
    """Refuse a text file. The oldest pickles look like text, so this is for files that are no whole pickle.

    Raises:
        CheckpointError: the file begins with text.
    """
    with path.open("rb") as file:
        text = file.read(300).removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").rstrip("\ufffd").strip()
    if len(text) > 2 and all(character.isprintable() or character.isspace() for character in text):
        raise CheckpointError(
            f"{path.name} is a text file that begins with {text.splitlines()[0][:60]!r}, not a checkpoint. It may be a "
            "server's answer in place of the file: download it again."
        )


def resave_advice(path: Path, weights: str) -> str:
    """Return three lines of Python that save a file's weights alone, with the sentence that introduces them.

    Args:
        path: the file.
        weights: an expression for its weights.
    """
    saved = f"{path.stem}-weights.pt"
    return (
        "If you trust who made it, run these three lines in Python, in its folder. They run what is in it, and save "
        f"its weights alone as {saved}, which this pack reads.\n"
        f"import torch\nweights = {weights}\ntorch.save(weights, {saved!r})"
    )


def _refuse_zip(path: Path) -> None:
    """Refuse an archive that is none of torch's, or is larger unpacked; torch stores its archives uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({error}). It may have been cut off: fetch it again."
        ) from error
    names = [entry.filename for entry in entries if not entry.is_dir()]
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(
            f"{path.name} is a TorchScript archive, which is a program and not weights alone. "
            + resave_advice(path, f'torch.jit.load({path.name!r}, map_location="cpu").state_dict()')
        )
    if not any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        raise CheckpointError(f"{path.name} is a zip archive, not a checkpoint. {_unpack(names)}")
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(
            f"{path.name} is refused: it is an archive that grows when unpacked, as no checkpoint is. A checkpoint "
            "that a zip program has unpacked and packed again must be downloaded again."
        )


def _refuse_tar(path: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is a tar archive that is not whole ({error}): fetch it again.") from error
    if set(names) >= OLDEST_FORMAT:
        raise CheckpointError(
            f"{path.name} is in torch's oldest format, a tar archive, which cannot be read safely: take the classifier "
            "from another source."
        )
    raise CheckpointError(f"{path.name} is a tar archive, not a checkpoint. {_unpack(names)}")


def _unpack(names: Iterable[str]) -> str:
    inside = [name for name in names if name.lower().endswith(EXTENSIONS)]
    if inside:
        return f"Unpack it, and put {inside[0]} from inside in its place."
    listed = ", ".join(sorted(names)[:3]) or "nothing"
    return f"It holds {listed}."
