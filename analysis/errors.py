"""The one exception for what a visitor can put right."""


class AnalysisError(ValueError):
    """An input or a model for which there is no correct number.

    The message is one or two plain sentences: what was asked, which condition failed with both
    values, and what to do about it. Pages show it as it is.
    """
