"""Settings of a hosted instance, from the one file that `HEADSCOPE_CONFIG` names.

Without that file the defaults hold: safe for one person or a class on one machine, who may also
download models; a file has to allow that.
`deploy/README.md` says what to change for a public one.
"""

import os
import re
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.limits import MAX_BATCH
from analysis.models.catalog import offer_only

VARIABLE = "HEADSCOPE_CONFIG"
# Beats the file: it may hold a password.
REDIS = "HEADSCOPE_REDIS"
# Beat the file: machines have other numbers of cores, and other clusters.
WORKERS = "HEADSCOPE_WORKERS"
RAY = "HEADSCOPE_RAY"
MAX_WORKERS = 256


class ConfigError(ValueError):
    """A settings file that cannot be used; the sentence says which key, why, and what fits."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a host decides. Sizes are in MiB."""

    title: str = "Headscope"  # in the browser's tab
    models: tuple[str, ...] = ()  # which models are offered; empty: all that are here
    downloads: bool = False  # whether weights may be fetched from a hub
    max_tokens: int = 6500  # of one request: 64 sequences of 101 tokens, 12 of 511
    max_batch: int = MAX_BATCH  # repeated sequences of one request
    memory_mb: int = 4096  # of all requests that run at once, by estimate
    computations_at_once: int = 4  # further ones wait in a queue
    threads: int = 0  # of one computation; 0: as many as there are cores
    max_waiting: int = 200  # places in that queue
    computations_per_minute: int = 300  # of one visitor; what is remembered costs none
    computations_per_minute_and_address: int = 0  # of one network address; 0: no limit
    hosts: tuple[str, ...] = ()  # names that it is reached by, beside this machine's own
    embed_origins: tuple[str, ...] = ()  # sites that may show the app in a frame; empty: all
    rooms_per_address: int = 8  # open at once from one network address; 0: no limit
    models_in_memory: int = 8
    models_mb: int = 0  # of their weights together; 0: two thirds of the memory that is here
    cache_mb: int = 256  # results kept in memory, for all visitors
    cache_folder: str = ""  # where results outlive a restart; empty: nowhere
    cache_folder_mb: int = 512
    redis: str = ""  # address of the Redis over which several processes share; empty: one process
    workers: int = 0  # that do the pieces of long work; 0: this process does
    ray: str = ""  # address of the Ray cluster that they are in; empty: processes of this machine


# Least and largest value of each whole number.
_BOUNDS = {
    "max_tokens": (128, 1_000_000),
    # A page starts with 10 sequences.
    "max_batch": (10, MAX_BATCH),
    "memory_mb": (64, 1_000_000),
    "computations_at_once": (1, 256),
    "threads": (0, 256),
    "max_waiting": (1, 10_000),
    # A page may take a dozen.
    "computations_per_minute": (20, 1_000_000),
    "computations_per_minute_and_address": (0, 1_000_000),
    "rooms_per_address": (0, 1000),
    "models_in_memory": (1, 64),
    "models_mb": (0, 1_000_000),
    "cache_mb": (16, 1_000_000),
    "cache_folder_mb": (16, 1_000_000),
    "workers": (0, MAX_WORKERS),
}
# What names in a list look like, and an example.
_NAMES = {
    "hosts": (r"[a-z0-9.-]+|[0-9a-f:]+", "headscope.example.org"),
    "embed_origins": (r"https?://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?", "https://slides.example.org"),
}


@cache
def settings() -> Config:
    """The settings of this process, read once; of all models only theirs are offered from then on.

    Raises:
        ConfigError: The file cannot be read, or does not say what it has to.
    """
    name = os.environ.get(VARIABLE)
    config = read_config(Path(name)) if name else Config(downloads=True)
    if redis := os.environ.get(REDIS):
        config = replace(config, redis=redis)
    if workers := os.environ.get(WORKERS):
        if not workers.isascii() or not workers.isdigit() or int(workers) > MAX_WORKERS:
            raise ConfigError(
                f"{WORKERS} is {workers!r}; it must be a whole number from 0 to {MAX_WORKERS}."
            )
        config = replace(config, workers=int(workers))
    if ray := os.environ.get(RAY):
        config = replace(config, ray=ray)
    if config.models:
        try:
            offer_only(config.models, downloads=config.downloads)
        except AnalysisError as error:
            raise ConfigError(f"models in {name}: {error}") from error
    return config


def read_config(file: Path) -> Config:
    """The settings in a TOML file; keys that it leaves out have their defaults.

    Raises:
        ConfigError: The file cannot be read, or a key or a value is not allowed.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{VARIABLE} names {file}, which cannot be read.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from error
    known = [field.name for field in fields(Config)]
    if unknown := [key for key in given if key not in known]:
        raise ConfigError(
            f"{file} has the unknown key {unknown[0]}. The keys are: {', '.join(known)}."
        )
    return Config(**{key: _checked(file, key, value) for key, value in given.items()})


def _checked(file: Path, key: str, value: Any) -> Any:
    default = getattr(Config(), key)
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"{key} in {file} must be a list of names.")
        if key in _NAMES:
            shape, example = _NAMES[key]
            if wrong := [name for name in value if not re.fullmatch(shape, name)]:
                raise ConfigError(f"{key} in {file} has {wrong[0]!r}; write them as {example}.")
        return tuple(value)
    # bool is an int in Python and not in TOML.
    if type(value) is not type(default):
        kind = {bool: "true or false", int: "a whole number", str: "text in quotes"}[type(default)]
        raise ConfigError(f"{key} in {file} must be {kind}.")
    if key in _BOUNDS:
        low, high = _BOUNDS[key]
        if not low <= value <= high:
            raise ConfigError(f"{key} in {file} is {value}; it must be from {low} to {high}.")
    return value
