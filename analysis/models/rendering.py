"""Rendering chat templates, in a process of its own: `python -m analysis.models.rendering`.

A template is a program that came with a model. transformers runs it in a sandbox, which keeps it
from files and from Python's insides, but not from running for ever or from filling the memory: here
the system ends it. Nothing of ours is imported, so that the process is soon there.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

# Seconds of a core that all renderings of one conversation may take together, and bytes beside what
# transformers takes for itself: a real template takes a thousandth of both.
MOST_SECONDS = 3
MOST_BYTES = 256 * 2**20
# Of the process before it renders anything.
OWN_BYTES = 64 * 2**20
# Of one rendering; a conversation has 20,000 at most.
MOST_CHARACTERS = 100_000


def main() -> None:
    """Read what is to be rendered, as JSON, and write each rendering or what went wrong."""
    asked = json.load(sys.stdin)
    import transformers.utils.chat_template_utils  # noqa: F401  before its time is counted

    _set_limits()
    json.dump(rendered(asked), sys.stdout)


def rendered(asked: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each job's text, or the kind of problem and what the template says of it."""
    from jinja2 import TemplateSyntaxError
    from transformers.utils.chat_template_utils import render_jinja_template

    outcomes = []
    for job in asked["jobs"]:
        try:
            found: Any = render_jinja_template(
                conversations=[job["turns"]],
                chat_template=asked["template"],
                add_generation_prompt=job["answered"],
                **asked["special"],
            )
        except MemoryError:
            outcomes.append({"problem": "memory"})
        except TemplateSyntaxError:
            outcomes.append({"problem": "syntax"})
        except Exception as error:  # templates raise what they like
            outcomes.append({"problem": "refusal", "said": f"{error}"[:1000]})
        else:
            text = found[0][0]  # of the one conversation; beside it, what was generated where
            long = len(text) > MOST_CHARACTERS
            outcomes.append({"problem": "length"} if long else {"text": text})
    return outcomes


def _set_limits() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + MOST_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    with suppress(OSError, ValueError):  # not Linux: then time alone bounds it
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        most = taken + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
