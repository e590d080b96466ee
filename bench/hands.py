"""How long what a person does to heads by hand takes: each of the eight things, by itself.

Claims. `attn-only-2l` and `gelu-4l`, a prompt of 30 tokens: a dial that is moved answers within 150
ms (both runs, next tokens, loss and every pattern that moved). `gelu-4l`, 32 prompts: what a
circuit of 8 heads does alone is known within 300 ms, and the whole test (faithfulness,
completeness, minimality, ten random circuits) takes no longer than a whole run for each of its
numbers, which are the same. SmolLM2-135M-Instruct:
- an edit in the upper third takes at most half of what naive code takes, a clean and an edited run
  with all patterns kept;
- 40 tokens are written, without and with a recipe, at least twice as fast as by whole runs;
- the head to remove first for another token to win is found, of all 270, at least three times as
  fast as by a whole run for each, and is the same;
- patterns of all heads weighted by value or answer take at most three times what attention alone
  does; rows by answer sum to the head's attribution, cells by value are attention times lengths;
- a head that is switched off in the played pass answers at least twice as fast as the lens of
  every position does;
- what surrounds a conversation before it is run, the template in its own process and who speaks
  each token, takes no longer than three times what starting that process alone does;
- long texts are `bench.long_text`, which is run last.

    python -m bench.hands            # the last part needs `make smollm2`, and Chromium
    python -m bench.hands small      # the bundled models only

CPU seconds of one thread, which other programs on the machine hardly distort; the median of five
edits, of which each moves a dial to where it has not been. What the server and the browser do
besides is not in it.
"""

import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from analysis.effects import writing
from analysis.effects.circuit_score import circuit_score
from analysis.effects.flip import flip_set
from analysis.effects.intervene import intervene
from analysis.effects.set_edges import found_circuit, set_edges
from analysis.head import Head, all_heads
from analysis.logits.attribution import logit_attribution
from analysis.logits.lens import logit_lens
from analysis.logits.weighted import weighted_patterns
from analysis.models.loading import HeadModel, load_model
from analysis.models.template import Job, render
from analysis.runs import onward
from analysis.runs.conversation import conversation
from analysis.runs.forward import run, silence
from analysis.runs.inputs import Tokens, tokenize
from analysis.runs.patterns import attention_patterns
from analysis.sets.fitted import fit_set, prompt_set
from analysis.turns import turns_of
from app.links.parameters import DEFAULT_CHAT, DEFAULT_PROMPT
from bench import long_text

SMALL, LARGE = ("attn-only-2l", "gelu-4l"), "SmolLM2-135M-Instruct"
MOST_MS, LEAST_EDIT, LEAST_WRITING, LEAST_REMOVAL, MOST_ALONE = 150, 2.0, 2.0, 3.0, 300
NAMES = "When Mary and John went to the store, John gave a drink to"
LEAST_PLAYED, MOST_RENDERING, MOST_WEIGHING = 2.0, 3.0, 3.0
EDITS, LENGTH, COUNT = 5, 30, 40
Result = TypeVar("Result")


def main(arguments: Sequence[str]) -> int:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, CPU seconds")
    small = [load_model(name, device="cpu") for name in SMALL]
    held = [*map(quick_enough, small), tests_circuit(small[-1])]
    if "small" not in arguments:
        large = load_model(LARGE, device="cpu")
        held += [quicker(large), finds_sooner(large), weighs(large), plays(large), converses(large)]
        held.append(long_text.main(()) == 0)
    print("held" if all(held) else "NOT HELD")
    return 0 if all(held) else 1


def prompt(model: HeadModel) -> Tokens:
    """The app's first prompt, over and over, cut to a length."""
    text = tokenize(model, " ".join([DEFAULT_PROMPT] * 3))
    return Tokens(text.ids[:, :LENGTH], (text.labels[0][:LENGTH],), None, has_bos=text.has_bos)


def quick_enough(model: HeadModel) -> bool:
    """Print how long an edit of the first layer takes, which runs all others."""
    taken = edits(model, prompt(model), Head(0, 1))
    print(f"{model.name}: an edit in layer 0 takes {1000 * taken:.0f} ms (at most {MOST_MS})")
    return taken * 1000 <= MOST_MS


def quicker(model: HeadModel) -> bool:
    """Print how an edit and writing compare with whole runs."""
    tokens, head = prompt(model), Head(2 * model.n_layers // 3, 1)
    ours, theirs = edits(model, tokens, head), naive(model, tokens, head)
    print(
        f"{model.name}: an edit in layer {head.layer} {1000 * ours:.0f} ms, naively "
        f"{1000 * theirs:.0f}, ratio {theirs / ours:.1f} (at least {LEAST_EDIT:g})"
    )
    recipe = f"{head.label}x0"
    assert onward.keeps_keys(model)
    quick, found = timed(lambda: writing.write_on(model, tokens, recipe, COUNT))
    onward._EXACT[model] = False  # as a model is treated that keeps none
    slow, whole = timed(lambda: writing.write_on(model, tokens, recipe, COUNT))
    same = found.edited.tolist() == whole.edited.tolist()
    print(
        f"{model.name}: {COUNT} tokens {quick:.1f} s, by whole runs {slow:.1f}, ratio "
        f"{slow / quick:.1f} (at least {LEAST_WRITING:g}); the same text: {same}"
    )
    return theirs / ours >= LEAST_EDIT and slow / quick >= LEAST_WRITING and same


def finds_sooner(model: HeadModel) -> bool:
    """Print how looking for the first head of a flip set compares with a whole run for each."""
    tokens = tokenize(model, NAMES)
    answer, foil = (
        model.tokenizer.encode(name, add_special_tokens=False)[0] for name in (" Mary", " John")
    )
    end = torch.tensor([tokens.length - 1])

    def whole() -> Head:
        def left(head: Head) -> float:
            logits, _ = run(model, tokens.tensor, hooks=silence([head]), positions=end)
            return float(logits[0, 0, answer] - logits[0, 0, foil])

        return min(all_heads(model.info), key=left)

    flip_set(model, tokens, answer, foil, most=1, draws=1)  # what is tried once a model
    quick, found = timed(lambda: flip_set(model, tokens, answer, foil, most=1, draws=1))
    slow, first = timed(whole)
    same = found.taken == (first,)
    print(
        f"{model.name}: the first head removed {quick:.1f} s, by whole runs {slow:.1f}, ratio "
        f"{slow / quick:.1f} (at least {LEAST_REMOVAL:g}); the same head, {first.label}: {same}"
    )
    return slow / quick >= LEAST_REMOVAL and same


def tests_circuit(model: HeadModel) -> bool:
    """Print how long a circuit takes alone, and its test beside a run for each of its numbers."""
    fitted = fit_set(model, prompt_set(model, "repeated-name"))
    heads = found_circuit(set_edges(model, fitted), 8).heads
    every = all_heads(model.info)

    def whole(kept: Sequence[Head]) -> float:
        """F, by a run of all prompts with everything kept."""
        total = 0.0
        for batch in fitted.batches:
            gone = silence([head for head in every if head not in kept])
            logits = run(model, batch.tokens.tensor, hooks=gone)[0][:, -1]
            rows = torch.arange(len(logits))
            total += float(
                (logits[rows, batch.answers.copy()] - logits[rows, batch.foils.copy()]).sum()
            )
        return total / len(fitted.rows)

    alone, _ = timed(
        lambda: circuit_score(model, fitted, heads, "zero", draws=0, removals=0, parts_alone=False)
    )
    quick, found = timed(lambda: circuit_score(model, fitted, heads, "zero"))
    assert found.random
    circuits = [every, (), heads]
    circuits += [tuple(h for h in of if h not in k) for of in (every, heads) for k in found.removed]
    circuits += [tuple(h for h in heads if h != head) for head in heads]
    circuits += 4 * [
        each.heads for each in found.random.circuits
    ]  # as they are, without K in both, without a head
    slow, values = timed(lambda: [whole(circuit) for circuit in circuits])
    ours = [found.whole, found.empty, found.faithfulness]
    ours += [*found.whole_without, *found.circuit_without]
    ours += [found.faithfulness - need for need in found.minimality.values()]
    same = max(abs(a - b) for a, b in zip(ours, values, strict=False)) < 1e-3
    print(
        f"{model.name}: a circuit of {len(heads)} heads alone {1000 * alone:.0f} ms (at most "
        f"{MOST_ALONE}), its test {quick:.1f} s, {len(circuits)} whole runs {slow:.1f}, ratio "
        f"{slow / quick:.1f} (at least 1); the same numbers: {same}"
    )
    return alone * 1000 <= MOST_ALONE and slow >= quick and same


def weighs(model: HeadModel) -> bool:
    """Print how weighted patterns compare with attention alone, and with what they stand for."""
    tokens, head = prompt(model), Head(2 * model.n_layers // 3, 1)
    answer = int(tokens.ids[0, 1])
    plain = median(timed(lambda: attention_patterns(model, tokens))[0] for _ in range(EDITS))
    held = True
    for weighting in ("value", "answer"):
        by = partial(weighted_patterns, model, tokens, weighting, targets=answer)
        taken = median(timed(by)[0] for _ in range(EDITS))
        rows = by().values[0, head.layer, head.head]
        if weighting == "answer":
            whole = logit_attribution(model, tokens, answer)
            gap = rows.sum(-1) - whole.values[0, :, whole.heads[head]]
        else:
            _, cache = model.bridge.run_with_cache(tokens.tensor)
            at = f"blocks.{head.layer}"
            shared = head.head * model.bridge.blocks[head.layer].attn.W_V.shape[0] // model.n_heads
            read = model.bridge.blocks[head.layer].ln1(cache[f"{at}.hook_resid_pre"])[0]
            attn = model.bridge.blocks[head.layer].attn
            lengths = (read @ attn.W_V[shared] @ attn.W_O[head.head]).norm(dim=-1)
            gap = rows - (cache[f"{at}.attn.hook_pattern"][0, head.head] * lengths).numpy()
        same = float(np.abs(gap).max()) < 1e-4
        held = held and same and taken <= MOST_WEIGHING * plain
        print(
            f"{model.name}: patterns of all heads by {weighting} {1000 * taken:.0f} ms, attention "
            f"alone {1000 * plain:.0f}, ratio {taken / plain:.1f} (at most {MOST_WEIGHING:g}); the "
            f"same numbers: {same}"
        )
    return held


def plays(model: HeadModel) -> bool:
    """Print how a head that is switched off in the played pass compares with the whole lens."""
    tokens, end = prompt(model), LENGTH - 1
    heads = [Head(layer, 1) for layer in range(0, model.n_layers, model.n_layers // EDITS)][:EDITS]
    taken, same = [], True
    for head in heads:
        gone = [head]
        quick, found = timed(
            lambda: (  # what the page asks for after a click
                logit_lens(model, tokens, at=end, without=gone),  # noqa: B023
                attention_patterns(model, tokens, without=gone),  # noqa: B023
            )
        )
        slow, whole = timed(lambda: logit_lens(model, tokens, without=gone))  # noqa: B023
        taken.append((quick, slow))
        same = same and bool((found[0].top_ids[:, :, 0] == whole.top_ids[:, :, end]).all())
    quick, slow = (median(each) for each in zip(*taken, strict=True))
    print(
        f"{model.name}: a head switched off {1000 * quick:.0f} ms with every pattern, the lens of "
        f"{LENGTH} positions {1000 * slow:.0f}, ratio {slow / quick:.1f} (at least "
        f"{LEAST_PLAYED:g}); the same guesses: {same}"
    )
    return slow / quick >= LEAST_PLAYED and same


def converses(model: HeadModel) -> bool:
    """Print how long it takes to render a conversation, beside the process that does it."""
    turns = turns_of(DEFAULT_CHAT)
    start = [Job((("user", "a"),), True)]
    alone = median(waited(lambda: render("a", {}, start, model.name)) for _ in range(EDITS))
    whole = median(waited(lambda: conversation(model, turns)) for _ in range(EDITS))
    found = conversation(model, turns)
    own = model.tokenizer.apply_chat_template(
        [{"role": who, "content": text} for who, text in turns],
        continue_final_message=True,
        return_dict=False,
    )
    same = found.ids[0].tolist() == own
    print(
        f"{model.name}: a conversation of {found.length} tokens {1000 * whole:.0f} ms on the "
        f"clock, its process alone {1000 * alone:.0f}, ratio {whole / alone:.1f} (at most "
        f"{MOST_RENDERING:g}); the tokens of transformers: {same}"
    )
    return whole / alone <= MOST_RENDERING and same


def waited(call: Callable[[], object]) -> float:
    """Seconds on the clock: another process does the work."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def edits(model: HeadModel, tokens: Tokens, head: Head) -> float:
    """Median seconds of a dial that is moved; the clean run is known by then."""

    def edit(factor: float) -> None:
        intervene(model, tokens, f"{head.label}x{factor:g}", head)

    edit(0.95)
    return median(timed(partial(edit, i / 10))[0] for i in range(EDITS))


def naive(model: HeadModel, tokens: Tokens, head: Head) -> float:
    """Median seconds of a clean and an edited run that keep all patterns."""

    def silence(z: Tensor, hook: object) -> Tensor:
        z = z.clone()
        z[:, :, head.head] = 0
        return z

    def both() -> None:
        for hooks in ([], [(f"blocks.{head.layer}.attn.hook_z", silence)]):
            with model.bridge.hooks(fwd_hooks=[*hooks]):
                model.bridge.run_with_cache(
                    tokens.tensor, names_filter=lambda name: name.endswith("hook_pattern")
                )

    return median(timed(both)[0] for _ in range(EDITS))


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
