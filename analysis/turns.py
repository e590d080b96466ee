"""Turns of a conversation as a person types them. Free of torch."""

import re

from analysis.errors import AnalysisError

# Who speaks, and what stands for the chat template itself.
SPEAKERS = ("system", "user", "assistant")
TEMPLATE_WRITES = "template"
# The same in the order in which figures name them, with the answer set apart that comes last.
PARTS = (*SPEAKERS, "answer", TEMPLATE_WRITES)
_LINE = re.compile(rf"^[ \t]*({'|'.join(SPEAKERS)})[ \t]*:", re.IGNORECASE | re.MULTILINE)


def turns_of(text: str) -> tuple[tuple[str, str], ...]:
    """Turns, (speaker, text) each, of a text in which a line `user: ...` begins one.

    What follows, up to the next such line, is the turn's text, less the blanks at its ends.

    Raises:
        AnalysisError: Something stands before the first of these lines, or there is none.
    """
    parts = _LINE.split(text)
    if len(parts) == 1 or parts[0].strip():
        raise AnalysisError(
            "A conversation is made of turns. Begin each on a line of its own with system:, user: "
            "or assistant:."
        )
    return tuple(
        (who.lower(), said.strip()) for who, said in zip(parts[1::2], parts[2::2], strict=True)
    )
