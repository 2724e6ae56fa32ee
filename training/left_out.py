"""What a folder of pictures holds that is not trained on, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..synthesis.picture_files import listed, not_read


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The files of a data set that are not used, by their path from the class folder on (`red/a.png`); those of other
    splits than `train` begin with the split's folder."""

    unreadable: tuple[str, ...] = ()
    """Damaged pictures, and files that are none."""
    copies: tuple[str, ...] = ()
    """Training and validation pictures with the same pixels as another at this size: all but one of a class; all if the
    picture is in two classes, because only one can be right; and what is in a split that is kept aside, too."""
    near_copies: tuple[str, ...] = ()
    """The same of pictures that were saved again or resized."""
    beside: tuple[str, ...] = ()
    """Pictures in no class folder, and folders (`a/`) beside those of the splits."""
    others: tuple[str, ...] = ()
    """Files of other kinds, see `picture_files.FoundFiles`."""
    unmeasured: int = 0
    """Validation pictures beyond those that are measured with."""

    def __str__(self) -> str:
        """A line for each reason; empty: nothing was left out."""
        reasons = {
            "cannot be read": self.unreadable,
            "are copies of other pictures": self.copies,
            "look the same as other pictures, as if saved again or resized": self.near_copies,
            "lie in no class folder": self.beside,
        }
        lines = [_line(why, names) for why, names in reasons.items() if names]
        lines += filter(None, [not_read(self.others)])
        if self.unmeasured:
            lines.append(f"{self.unmeasured} of the validation pictures are not used: the others measure well enough.")
        return "\n".join(lines)


def _line(why: str, names: Sequence[str]) -> str:
    return f"Left out, because they {why} ({len(names)}): {listed(names)}."
