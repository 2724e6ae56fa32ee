"""Bulk generation: many pictures from a list of jobs, in one process or on a Ray cluster, resumable to the picture."""

from .jobs import Job as Job
from .jobs import JobError as JobError
from .jobs import Picture as Picture
from .jobs import expand as expand
from .output import Output as Output
from .run import make_all as make_all
