"""The model that a person names: by its name, or by the folder that it lies in."""

import os

from analysis.models.catalog import OWN_MODELS, find_folder, find_model, list_models, refresh
from analysis.models.home import at_home
from analysis.models.info import ModelInfo


def named_model(asked: str) -> ModelInfo:
    """A model by its name, or in a folder, which is offered in this process from then on.

    Raises:
        AnalysisError: There is no such model, or its files are not usable.
    """
    folder = at_home(asked)
    if asked in {info.name for info in list_models()} or not folder.is_dir():
        return find_model(asked)
    os.environ[OWN_MODELS] = str(folder.resolve())
    refresh()
    return find_folder(folder)
