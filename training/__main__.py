"""Command line: make a bundled model from a recipe and a text file."""

import argparse
import tomllib
from pathlib import Path

from training.corpus import prepare
from training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="a TOML file of this folder")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="text, documents split by form feeds"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build"), help="folder for intermediate files"
    )
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text(encoding="utf-8"))
    work = arguments.work / recipe["name"]
    work.mkdir(parents=True, exist_ok=True)
    train(recipe, prepare(arguments.corpus, arguments.work), work)


if __name__ == "__main__":
    main()
