"""Command line: make a bundled model from a recipe and a text file."""

import argparse
import sys
import tomllib
from pathlib import Path

from analysis.models.catalog import BUNDLED
from training.corpus import prepare
from training.finish import finish
from training.train import train


def main(arguments: list[str] | None = None) -> int:
    """Train and finish; 1 if the model misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="a TOML file of this folder")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="text, documents split by form feeds"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build"), help="folder for intermediate files"
    )
    parser.add_argument(
        "--models", type=Path, default=BUNDLED, help="where the model's folder is made"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in --work"
    )
    parser.add_argument(
        "--finish-only", action="store_true", help="measure and ship the run that is in --work"
    )
    options = parser.parse_args(arguments)
    recipe = tomllib.loads(options.recipe.read_text(encoding="utf-8"))
    work = options.work / recipe["name"]
    work.mkdir(parents=True, exist_ok=True)
    corpus = prepare(options.corpus, options.work)
    if not options.finish_only:
        train(recipe, corpus, work, resume=options.resume)
    lines = finish(recipe, corpus, work, options.models / recipe["name"])
    for line in lines:
        print(
            f"{'met   ' if line.met else 'MISSED'} {line.value:9.4g} ({line.limit})  {line.meaning}"
        )
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
