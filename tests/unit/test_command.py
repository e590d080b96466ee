"""The command line: what it reads, what it refuses, and what it does not import."""

import io
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.errors import AnalysisError
from analysis.models.catalog import OWN_MODELS, list_models, refresh
from analysis.models.info import has_hub_token
from app.links.link import link_parameters
from app.links.parameters import BY_KEY
from app.shell.share import view_file
from headscope import exporting, picture
from headscope.command import main
from headscope.opening import address_of, read_view, view_of
from headscope.printing import print_models
from tests.hostile import HOSTILE
from tests.model_folders import LLAMA, save

ROOT = Path(__file__).parents[2]
COMMANDS = ("models", "download", "score", "check", "export", "view", "site")


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys\nfrom headscope.command import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'streamlit', 'numpy', 'pandas', 'transformers', 'analysis', 'app'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"headscope {command}" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert end.value.code == 0
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["score", "nope"], "no model of that name"),
        (["score", "attn-only-2l", "--score", "nope"], "there are current, previous"),
        (["site", __file__, "attention"], "is a file"),
        (["site", "new", "nope"], "The pages are start"),
        (["site", "new", "attention", "--title", " "], "has a title"),
        (["site", "new", "attention", "--app", "javascript:alert(1)"], "http://"),
        (["site", "new", *(f"tokens?seed={i}" for i in range(51))], "51 views"),
        (["export", "nope", "--csv"], "The pages are start"),
        (["export", "attention?layre=1", "--csv"], "“layre”"),
        (["export", "attention?layer=1&layer=2", "--csv"], "2 times"),
        (["export", "attention?layer=x", "--csv"], "whole number"),
        (["export", "attention?model=nope", "--csv"], "no model of that name"),
        (["view", "no-such-file.json"], "no-such-file.json"),
        (["--model", "nope"], "no model of that name"),
        (["--prompt", "word " * 400], "longer than"),
        (["--no-browser", "--port", "0"], "no port 0"),
        (["download", "nope"], "no model of that name"),
        (["site", "new", "attention", "--app", "http://[bad"], "http://"),
        (["site", "new", "attention", "--app", "http://a\udcff"], "http://"),
        (["--no-browser", "--address", "a\udcff"], "no such address"),
        # What a shell hands over that is no UTF-8.
        (["--prompt", "a\udcff"], "no text in UTF-8"),
        (["view", "attention?prompt=a\udcff"], "no text in UTF-8"),
        (["score", "attn-only-2l", "--prompt", "a\udcff"], "not text"),
        (["view", "a" * 5000], "name too long"),
        # Nobody is called so, and has no home.
        (["--model", "~nobody-here"], "no model of that name"),
        (["score", "~nobody-here/x"], "no model of that name"),
        (["view", "~nobody-here/x.json"], "neither a page nor a file"),
        (["site", "new", "~nobody-here/x.json"], "neither a page nor a file"),
    ],
)
def test_what_is_refused_is_one_line_and_a_code(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert not printed.out
    (line,) = [line for line in printed.err.splitlines() if line.startswith("headscope: ")]
    assert said in line
    assert "Traceback" not in printed.err


def test_a_picture_of_a_figure_is_its_page_drawn_by_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "heads.png"
    asked = ["export", "attention?layer=1&head=4", "--png", "--figure", "pattern", "-o", str(file)]
    assert main(asked) == 0
    drawn = np.asarray(Image.open(file).convert("RGB")).astype(int)
    height, width, _ = drawn.shape
    assert (width, height < 4000) == (2400, True)
    assert (drawn[-1] == 255).all()  # cut below what it shows
    assert (drawn[-60:] != 255).any()
    # Cells in which all of a destination's attention is: the end of the ramp, in 16 small pictures.
    strong = (abs(drawn - [8, 81, 156]) < 12).all(-1)
    assert strong[:, :1200].sum() > 500
    assert strong[:, 1200:].sum() > 500
    capsys.readouterr()
    monkeypatch.setattr(picture, "BROWSERS", ("no-such-browser",))
    assert main(asked) == 1
    assert "neither Chromium nor Chrome is on this machine" in capsys.readouterr().err


def test_of_several_figures_one_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guess would be a file of something else than was meant."""
    monkeypatch.setattr(exporting, "drawn_figures", lambda view: {"map": (), "ranking": ()})
    for more, said in (([], "Which figure?"), (["--figure", "nope"], "There is no such figure.")):
        assert main(["export", "ablation", "--csv", *more]) == 1
        printed = capsys.readouterr()
        assert said in printed.err and "“map”, “ranking”" in printed.err and not printed.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "gelu-4l", "models"],
        ["nope"],
        ["score"],
        ["export", "attention"],
        ["--port", "x"],
    ],
)
def test_a_command_that_cannot_be_read_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@pytest.mark.parametrize(
    "link",
    [
        "attention?layer=1&head=4",
        "/attention?layer=1&head=4",
        "http://127.0.0.1:8501/attention?layer=1&head=4&embed=true",
        "https://headscope.example.org/folder/attention?head=4&layer=1",
    ],
)
def test_a_view_is_read_from_a_link_of_any_host(link: str) -> None:
    assert read_view(link) == ("attention", {"layer": "1", "head": "4"})


def test_a_view_is_read_from_a_file_unless_it_is_too_long_for_an_address(tmp_path: Path) -> None:
    file = tmp_path / "view.json"
    file.write_bytes(view_file("compare", {"prompt": "one & <two>"}))
    assert read_view(str(file)) == ("compare", {"prompt": "one & <two>"})
    file.write_bytes(view_file("attention", {"prompt": "word " * 1000}))
    with pytest.raises(AnalysisError, match="too long for an address"):
        read_view(str(file))
    file.write_bytes(b"{}")
    with pytest.raises(AnalysisError, match="not a view"):
        read_view(str(file))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_prompt_comes_through_a_link_unchanged(text: str) -> None:
    values = {"prompt": text}
    if BY_KEY["prompt"].default_on("attention") == text or not text.strip():
        return
    link = link_parameters("attention", {**values, "input": "prompt"})
    assert read_view(address_of("attention", link))[1]["prompt"] == text


def test_a_folder_of_ones_own_is_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OWN_MODELS, "")
    folder = save(tmp_path, "my-model", LLAMA)
    try:
        assert main(["score", str(folder), "--prompt", "a b a", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["model"] == "my-model" and answer["input"] == {"prompt": "a b a"}
        opened = view_of(Namespace(command=None, model=str(folder), prompt="a b a"))
        assert opened == ("attention", {"model": "my-model", "prompt": "a b a"})
        # What a prompt cannot show is null; this is not.
        assert answer["scores"]["first"]["values"][0][0] is not None
    finally:
        monkeypatch.undo()
        refresh()


def test_what_a_folder_says_cannot_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences recolour, overwrite and even type; a list of models must be text."""
    (tmp_path / "evil\x1b[31m").mkdir()
    (tmp_path / "evil\x1b[31m" / "config.json").write_text('{"model_type": "\\u001b[2J"}')
    monkeypatch.setenv(OWN_MODELS, str(tmp_path))
    refresh()
    try:
        assert len(list_models()) > 1
        assert print_models(as_json=False) == 0
        assert print_models(as_json=True) == 0
        assert "\x1b" not in capsys.readouterr().out
    finally:
        monkeypatch.undo()
        refresh()


def _findings(tmp_path: Path, **changes: str) -> Path:
    number = {
        "kind": "number",
        "quantity": "eigenvalue",
        "settings": {"model": "attn-only-2l", "layer": "1", "head": "4"} | changes,
        "value": 0.99976,
        "date": "2026-11-26",
    }
    made = {"id": "0" * 12, "claim": "It copies \x1b[31m", "note": "", "names": []}
    document = {"format": "headscope-findings", "version": 1}
    file = tmp_path / "findings.json"
    file.write_text(json.dumps({**document, "findings": [{**made, "evidence": [number]}]}))
    return file


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [({}, 0, "holds"), ({"head": "2"}, 1, "differs"), ({"model": "x"}, 2, "not computed here")],
)
def test_a_file_of_findings_is_checked_without_a_screen(
    changes: dict[str, str],
    code: int,
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(_findings(tmp_path, **changes))
    assert main(["check", file]) == code
    printed = capsys.readouterr().out
    assert f"  {word} " in printed
    assert "\x1b" not in printed
    assert main(["check", file, "--json"]) == code
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["numbers"][0]["result"] == word
    assert (finding["numbers"][0]["now"] is None) == (code == 2)


def test_a_file_that_holds_no_findings_is_refused_with_the_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    for name in (str(file), str(tmp_path / "none.json"), str(tmp_path)):
        assert main(["check", name]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_check_that_cannot_be_told_does_not_say_that_a_number_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads the code alone would take 1 for that."""
    for name in (str(_findings(tmp_path)), "~nobody-here/x.json"):
        # Closing it writes what is left, which Python does as it ends.
        with monkeypatch.context() as patched, Path("/dev/full").open("w") as full:
            patched.setattr(sys, "stdout", full)
            assert main(["check", name]) == 2
        (line,) = [each for each in capsys.readouterr().err.splitlines() if "headscope" in each]
        assert "No space left" in line or "No such file" in line


def test_a_terminal_of_few_characters_is_told_every_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings are set apart by a dot that is no ASCII, and claims are anybody's."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert main(["check", str(_findings(tmp_path))]) == 0
    assert b"holds" in written.getvalue() and rb"\xb7" in written.getvalue()


def test_who_has_no_home_still_has_the_models_that_are_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a user without a name, of whom a container knows the number alone."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "HEADSCOPE_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    refresh()
    try:
        assert "attn-only-2l" in {info.name for info in list_models() if info.available}
        assert has_hub_token() in (False, True)
    finally:
        monkeypatch.undo()
        refresh()


def test_a_page_that_fails_is_refused_with_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page itself only apologises, and a log may be where nobody looks."""

    def fail(selection: object) -> None:
        raise LookupError("no such\x1b[31m thing")

    monkeypatch.setattr("app.shell.page.draw_sidebar", fail)
    assert main(["export", "attention?layer=1", "--html"]) == 1
    said = capsys.readouterr().err
    assert "The page has failed on this view (LookupError: no such" in said
    assert "\x1b" not in said
