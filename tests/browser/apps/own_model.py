"""A person's script that opens the app on a model that it has made: `own_model.py FOLDER`.

What it opens is on a line of its own; each line that it reads then changes what is open.
"""

import sys
from types import ModuleType

from transformers import AutoModelForCausalLM, AutoTokenizer

import headscope

# Modules of a person's own, which are not the app's.
for taken in ("app", "analysis", "pages"):
    sys.modules[taken] = ModuleType(taken)

model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
dashboard = headscope.app(model, tokenizer)
for _ in sys.stdin:
    try:
        headscope.app(model, tokenizer)
    except ValueError as refusal:
        print(refusal, flush=True)
    dashboard.stop()
    dashboard = headscope.app(model, tokenizer, name="again")
