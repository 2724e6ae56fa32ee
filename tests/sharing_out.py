"""Which tests run in which of the processes of `pytest -n`, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# One browser and one page in each renderer do for all of them.
IN_THE_EDITOR = {
    "test_class_picker",
    "test_class_picker_subgraphs",
    "test_editor",
    "test_live_editor",
    "test_live_editor_input",
    "test_live_editor_state",
    "test_subgraphs",
}
# Half a minute or more each: a long one that begins last leaves one process alone.
LONG = (
    "test_examples",
    "test_live_server",
    "test_training",
    "test_server",
    "test_train_node",
    "test_training_command",
    "test_hub_server",
    "test_nodes",
    "test_masked",
)


class OneEditor(LoadFileScheduling):  # type: ignore[misc]
    """Each file in one process, and all files that need a browser in the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        return "editor" if file.stem in IN_THE_EDITOR else str(file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the order inside of a file stays."""
    first = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: -1 if item.path.stem in IN_THE_EDITOR else first.get(item.path.stem, len(first)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Replace the scheduler of `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    # It would put the files with the most tests first.
    config.option.loadscopereorder = False
    return OneEditor(config, log)
