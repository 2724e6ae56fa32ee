"""Painting by hand with what a classifier knows: strokes that ascend while they are drawn."""

from .brush import Brush as Brush
from .brush import BrushKind as BrushKind
from .brush import Shape as Shape
from .files import PaintingError as PaintingError
from .files import Revision as Revision
from .files import digest as digest
from .files import next_revision as next_revision
from .files import read_info as read_info
from .files import read_revision as read_revision
from .files import write_revision as write_revision
from .geometry import Box as Box
from .painting import Painting as Painting
from .painting import replay as replay
from .records import StrokeRecord as StrokeRecord
from .records import Tick as Tick
from .stroke import LiveStroke as LiveStroke
