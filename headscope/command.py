"""The command `headscope`: what it can be asked, and which module answers.

Nothing heavy is imported before it is needed, so that `--help` answers at once.
"""

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from functools import partial

import shtab

from headscope import __version__
from headscope.place import ROOT

_OPENS = """
Without a command the app opens in the browser: on the bundled model, or on --model and --prompt.
"""
_CODES = (
    "Ends with 0 when all is well, 1 when something is refused (one sentence says why), and 2 for a\
 command that cannot be read."
)
# Characters of a file's name that a refusal quotes.
_LONGEST = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; the code that the process ends with."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.command not in (None, "score") and (asked.model or asked.prompt):
        parser.error(f"--model and --prompt open the app, and {asked.command} takes neither")
    # The app's modules call themselves `app` and `analysis`, and this process is theirs.
    sys.path.insert(0, str(ROOT))
    from analysis.errors import AnalysisError

    # A terminal that knows few characters shows the others by their numbers.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Of a check 1 would say that a number differs.
    refused = partial(_refused, code=2 if asked.command == "check" else 1)
    try:
        code = _do(asked)
        sys.stdout.flush()  # a full disk or a reader that has gone is heard of here
        return code
    except AnalysisError as refusal:
        return refused(str(refusal))
    except BrokenPipeError:  # whoever read the output has had enough
        _print_no_more()
        return 0
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _print_no_more()
        where = f": {str(error.filename)[:_LONGEST]}" if error.filename else ""
        return refused(f"{error.strerror or 'A file cannot be read or written'}{where}.")
    except KeyboardInterrupt:
        return 130


def _do(asked: argparse.Namespace) -> int:
    if asked.command in (None, "view"):
        from headscope.opening import open_app, view_of

        view = view_of(asked)
        return open_app(*view, port=asked.port, address=asked.address, browser=asked.browser)
    if asked.command == "export":
        from headscope.exporting import export

        return export(asked.view, asked.kind, asked.figure, asked.output)
    if asked.command == "site":
        from headscope.site import write_site

        return write_site(asked.folder, asked.sources, asked.title, asked.app)
    if asked.command == "check":
        from headscope.checking import check_file

        return check_file(asked.file, asked.json)
    from headscope import printing

    if asked.command == "models":
        return printing.print_models(asked.json)
    if asked.command == "download":
        return printing.download(asked.name)
    prompt = None if asked.repeated else asked.prompt
    return printing.print_scores(asked.model, prompt, asked.score, asked.json)


def _print_no_more() -> None:
    """Let go of what cannot be written: Python would try it again as it ends, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(sentence: str, code: int) -> int:
    from app.text import display_text

    # May quote what a file or a folder holds, which a terminal would obey.
    print(f"headscope: {display_text(sentence)}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headscope",
        description="See what every attention head of a language model does." + _OPENS,
        epilog=_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(parser, help="print the script that completes this command in a shell")
    parser.add_argument("--model", help="a model's name, or a folder with one")
    parser.add_argument("--prompt", help="text to look at")
    _add_serving(parser)
    # Here and not there: a command's own defaults would undo what stands before it.
    parser.set_defaults(port=8501, address="127.0.0.1", browser=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    view = commands.add_parser(
        "view",
        help="open a link, or a view that was saved as a file",
        argument_default=argparse.SUPPRESS,
    )
    view.add_argument("view", metavar="LINK-OR-FILE").complete = shtab.FILE  # type: ignore[attr-defined]
    _add_serving(view)

    models = commands.add_parser("models", help="list the models that there are")
    models.add_argument("--json", action="store_true", help="as JSON")

    download = commands.add_parser("download", help="fetch a model of the list")
    download.add_argument("name", metavar="NAME")

    score = commands.add_parser(
        "score", help="score every head of a model", argument_default=argparse.SUPPRESS
    )
    score.add_argument("model", metavar="MODEL", help="a model's name, or a folder with one")
    tokens = score.add_mutually_exclusive_group()
    tokens.add_argument("--prompt", help="on this text")
    tokens.add_argument(
        "--repeated",
        action="store_true",
        default=False,
        help="on random tokens repeated, which is the default",
    )
    score.add_argument(
        "--score", metavar="NAME", default=None, help="this score alone, such as induction"
    )
    score.add_argument(
        "--json", action="store_true", default=False, help="as JSON, with formulas and chance"
    )

    check = commands.add_parser(
        "check",
        help="read the numbers of a file of findings again",
        description="Ends with 0 when every number holds, 1 when one differs, and 2 when none"
        " differs but some could not be read here, or the file is none.",
    )
    check.add_argument("file", metavar="FILE").complete = shtab.FILE  # type: ignore[attr-defined]
    check.add_argument("--json", action="store_true", help="as JSON")

    export = commands.add_parser("export", help="write a page's figures as files, without a screen")
    export.add_argument(
        "view", metavar="VIEW", help="such as 'attention?layer=1&head=4', or a link"
    )
    kinds = export.add_mutually_exclusive_group(required=True)
    for kind, option in (
        ("CSV", "--csv"),
        ("JSON", "--json"),
        ("HTML", "--html"),
        ("Paper SVG", "--svg"),
        ("PNG", "--png"),
    ):
        kinds.add_argument(option, dest="kind", action="store_const", const=kind)
    export.add_argument("--figure", metavar="NAME", help="which figure, where a page has several")
    output = export.add_argument(
        "-o", "--output", metavar="FILE", help="a file, or a folder for every figure of the page"
    )
    output.complete = shtab.FILE  # type: ignore[attr-defined]

    site = commands.add_parser(
        "site", help="write views and findings as a folder of pages that need no server"
    )
    site.add_argument("folder", metavar="FOLDER")
    sources = site.add_argument(
        "sources",
        metavar="VIEW",
        nargs="+",
        help="a link, a saved view, findings, or a list of links, each below # and its title",
    )
    sources.complete = shtab.FILE  # type: ignore[attr-defined]
    site.add_argument("--title", default="Heads", help="of the site")
    site.add_argument("--app", metavar="URL", help="a Headscope that the pages lead on to")
    return parser


def _add_serving(parser: argparse.ArgumentParser) -> None:
    unless_given = argparse.SUPPRESS
    parser.add_argument("--port", type=int, default=unless_given, help="8501 where none is given")
    parser.add_argument(
        "--address",
        default=unless_given,
        help="127.0.0.1, this machine alone, where none is given; 0.0.0.0 lets others in",
    )
    parser.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        default=unless_given,
        help="only serve; open nothing",
    )
