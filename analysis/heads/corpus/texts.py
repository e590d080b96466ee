"""The text that comes with the app."""

from pathlib import Path

# In the public domain everywhere, and one of the novels that the bundled models never saw.
SHIPPED = "Treasure Island, by Robert Louis Stevenson (1883), parts one to three"
SHIPPED_FILE = Path(__file__).with_name("treasure_island.txt")


def shipped_text() -> str:
    """The public-domain text that comes with the app."""
    return SHIPPED_FILE.read_text("utf-8")
