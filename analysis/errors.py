"""The one exception for what a visitor can put right, and the one failure that passes by itself."""


class AnalysisError(ValueError):
    """An input or a model for which there is no correct number.

    The message is one or two plain sentences: what was asked, which condition failed with both
    values, and what to do about it. Pages show it as it is.
    """


# What PyTorch says on a CPU, and on every kind of GPU.
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory for something, which says nothing about the thing itself."""
    if isinstance(error, RuntimeError):
        return any(words in str(error).lower() for words in _NO_MEMORY)
    return isinstance(error, MemoryError)
