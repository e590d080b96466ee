"""A figure's page as a picture, drawn by a browser of this machine that has no window."""

import io
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageChops

from analysis.errors import AnalysisError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of the page in CSS pixels; a figure's end is found by the blank space below it.
_WIDTH, _TALLEST, _BELOW = 1200, 4000, 24
# Picture's pixels for each of the page's, as on a good screen.
_SCALE = 2
# Milliseconds of the page's own clock in which it draws, and seconds that the browser may take.
_DRAWS, _LONGEST = 5000, 120


def draw_png(page: bytes) -> bytes:
    """A page of its own (`app.frame.export.standalone_page`) as a PNG.

    Raises:
        AnalysisError: This machine has no browser that can, or it draws nothing.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise AnalysisError(
            "A PNG is drawn by a browser, and neither Chromium nor Chrome is on this machine. "
            "Install one, take --svg or --html, or press Export on the page."
        )
    with TemporaryDirectory(prefix="headscope-") as folder:
        drawn = Path(folder) / "drawn.png"
        Path(folder, "page.html").write_bytes(page)
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            # The page loads nothing, and the browser need not either.
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            # Chrome has no sandbox for the superuser, such as in a container.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            f"--user-data-dir={folder}/profile",
            f"--window-size={_WIDTH},{_TALLEST}",
            f"--force-device-scale-factor={_SCALE}",
            f"--virtual-time-budget={_DRAWS}",
            f"--screenshot={drawn}",
            Path(folder, "page.html").as_uri(),
        ]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=_LONGEST, check=False)
        except subprocess.TimeoutExpired as error:
            raise AnalysisError(
                f"{Path(browser).name} has drawn nothing within {_LONGEST} s. Try again when the "
                "machine is less busy, or take --svg or --html."
            ) from error
        if not drawn.is_file():
            raise AnalysisError(
                f"{Path(browser).name} has drawn nothing (it ended with {ended.returncode}). Take "
                "--svg or --html."
            )
        return _cut(drawn.read_bytes())


def _cut(png: bytes) -> bytes:
    """A picture without the blank space below what it shows."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    blank = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    shown = ImageChops.difference(whole, blank).getbbox()
    bottom = whole.height if shown is None else min(whole.height, shown[3] + _SCALE * _BELOW)
    file = io.BytesIO()
    whole.crop((0, 0, whole.width, bottom)).save(file, "PNG")
    return file.getvalue()
