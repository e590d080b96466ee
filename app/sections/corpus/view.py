"""What every section of the page of texts is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.head import Head
from app.compute.texts import Text
from app.links.selection import Selection
from app.links.subject import Subject
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.heads.corpus.results import CorpusScan


@dataclass(frozen=True)
class CorpusView:
    """The head in focus over a text, as far as that has been read."""

    selection: Selection
    text: Text
    head: Head
    scan: CorpusScan
    whole: bool  # whether all of it has been read
    theme: Palette

    @property
    def subject(self) -> Subject:
        """The head on the text."""
        # Of several texts in one file no program here makes the same windows.
        file = self.text.file or (self.text.name if len(self.text.parts) == 1 else None)
        return Subject(self.selection, head=self.head, text=self.text.name, text_file=file)

    @property
    def at(self) -> tuple[int, int]:
        """Where arrays [layer, head] have the head."""
        return self.head.layer, self.head.head

    @property
    def read(self) -> str:
        """How much has been read, in words."""
        n = self.scan.n_windows
        of = "" if n == self.scan.n_total else f" of {self.scan.n_total:,}"
        return f"{n:,}{of} windows of {self.scan.window} tokens"
