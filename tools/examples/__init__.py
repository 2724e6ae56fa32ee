"""The example workflows, as data; `tools.save_workflows` builds them in the real editor."""

from .imagenet import EXAMPLES as _IMAGENET
from .operations import EXAMPLES as _OPERATIONS
from .seeds_photos_drawings import EXAMPLES as _FIRST
from .training import EXAMPLES as _TRAINING

EXAMPLES = (*_FIRST, *_OPERATIONS, *_TRAINING, *_IMAGENET)
