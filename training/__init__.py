"""Adversarial training: how the bundled classifiers were made, and how to make one of a folder of pictures."""

from .card import CardInfo as CardInfo
from .data import TrainingData as TrainingData
from .data import class_names as class_names
from .data import read_data as read_data
from .errors import DataError as DataError
from .fine_tuning import fine_tuning as fine_tuning
from .log import EvalRecord as EvalRecord
from .paths import RunError as RunError
from .paths import RunExistsError as RunExistsError
from .paths import RunPaths as RunPaths
from .progress import Progress as Progress
from .recipes import RECIPES as RECIPES
from .recipes import Attack as Attack
from .recipes import Contrastive as Contrastive
from .recipes import Recipe as Recipe
from .recipes import TrainingPlan as TrainingPlan
from .record import Evaluation as Evaluation
from .record import TrainingRecord as TrainingRecord
from .run import train as train
from .samples import generate_samples as generate_samples
from .saved_state import Beginning as Beginning
from .saved_state import beginning as beginning
