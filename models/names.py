"""One form for names and expressions, because keyboards, systems and web pages spell the same text differently."""

from __future__ import annotations

import functools
import re
import unicodedata

_COMMAS, _COLONS = "，、﹐،", "：﹕︓∶"  # noqa: RUF001 (the characters themselves)
_DASHES, _QUOTES = "‐‑‒–—―−﹣－", "‘’‚‛ʼ′＇“”„‟″＂«»"  # noqa: RUF001 (the characters themselves)
_TYPED = {
    ord(character): plain
    for characters, plain in ((_COMMAS, ","), (_COLONS, ":"), (_DASHES, "-"), (_QUOTES, "'"))
    for character in characters
}
# Spaces, separators and quotes, and what is invisible: soft hyphens, zero-width characters, byte order marks.
_IGNORED = re.compile(r"[\s_\-'\"\u00ad\u200b-\u200f\u2060\ufeff]+")


def plain_text(text: str) -> str:
    """Text in Unicode's form NFKC, with every comma, colon, dash and curly quote as its ASCII character."""
    return unicodedata.normalize("NFKC", text.translate(_TYPED)).translate(_TYPED)


@functools.lru_cache(maxsize=8192)
def comparable(name: str) -> str:
    """A name as names are compared: without case, spaces, underscores, hyphens, quotes, and in one Unicode form."""
    return unicodedata.normalize("NFKC", _IGNORED.sub("", plain_text(name)).casefold())


def label_names(label: str) -> list[str]:
    """The names in a label (`tench, Tinca tinca`), as they are spelled: commas of all scripts separate them."""
    return [name.strip() for name in re.split(f"[,{_COMMAS}]", label)]
