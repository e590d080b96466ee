"""Code of an encoder's figures: transformers alone, with hooks on its own modules."""

from collections.abc import Sequence

from analysis.definitions import (
    ATTRIBUTION_PATCHING,
    ENCODER_SCORES,
    LOGIT_DIFFERENCE,
    MASKED_LOSS,
    PATCHING,
    PATTERN,
    Quantity,
)
from analysis.models.catalog import folder_name
from analysis.tokens import texts_of
from app.frame.snippets.loading import FOLDER, REQUIRED, at_hand
from app.links.subject import Subject

_MODEL = """
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

torch.set_grad_enabled(False)
tokenizer = AutoTokenizer.from_pretrained(there[0])
# What an encoder without a head for masked tokens gets for one is not used.
model = AutoModelForMaskedLM.from_pretrained(
    there[0], dtype=torch.float32, attn_implementation="eager"
).eval()


def given_of(texts):
    given = tokenizer(*texts, return_tensors="pt")
    if getattr(model.config, "type_vocab_size", 1) < 2:
        given.pop("token_type_ids", None)
    return given
"""
_INPUT = """
given = given_of(TEXTS)
ids = given["input_ids"][0]
frame = torch.isin(ids, torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id]))
"""
_PATTERN = """
pattern = torch.cat(model(**given, output_attentions=True).attentions)  # layer, head, dest, src
"""
_SHARE = "result = (pattern * counts).sum((-1, -2)) / counts.any(-1).sum()"
_CODE = {
    "previous": "result = pattern.diagonal(-1, -2, -1).mean(-1)",
    "next": "result = pattern.diagonal(1, -2, -1).mean(-1)",
    "current": "result = pattern.diagonal(0, -2, -1).mean(-1)",
    "copies": "counts = (ids[:, None] == ids) & ~torch.eye(len(ids)).bool() & ~frame[:, None]\n"
    + _SHARE,
    "separator": f"counts = ~frame[:, None] & frame\n{_SHARE}",
    "entropy": "result = -(pattern * pattern.clamp(min=1e-30).log()).sum(-1).mean(-1)",
}
_MASKED = """
log_probs = []
for place in range(len(ids)):
    if not frame[place] and ids[place] != tokenizer.mask_token_id:
        masked = ids.clone()
        masked[place] = tokenizer.mask_token_id
        logits = model(**{**given, "input_ids": masked[None]}).logits[0, place]
        log_probs.append(logits.log_softmax(-1)[ids[place]])
result = torch.stack(log_probs)  # the loss is the mean of their negatives
"""
_PAIR = """
def masked(texts):  # a prompt without a masked token has one at its end
    if any(tokenizer.mask_token in text for text in texts):
        return given_of(texts)
    return given_of([*texts[:-1], f"{texts[-1]} {tokenizer.mask_token}"])


def difference(given):
    (place,) = (given["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0].tolist()
    logits = model(**given).logits[0, place]
    return logits[ANSWER] - logits[FOIL]


clean, corrupt = masked(CLEAN), masked(CORRUPT)
m_clean, m_corrupt = difference(clean), difference(corrupt)
# Shares of the difference; where it is small or of the wrong sign, logits.
whole = m_clean - m_corrupt if m_clean - m_corrupt >= 0.1 else torch.tensor(1.0)
"""
_PATCHED = """
n_layers = model.config.num_hidden_layers
d_head = model.config.hidden_size // model.config.num_attention_heads
BY_POSITION = PATCH in ("resid_pre", "attn_out", "mlp_out")


def hooked(layer, change):  # what enters a module is changed, or what leaves it
    block = model.base_model.encoder.layer[layer]
    if PATCH in ("resid_pre", "z"):
        module = block if PATCH == "resid_pre" else block.attention.output.dense
        return module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    own, written = block.attention.self, {"attn_out": block.attention, "mlp_out": block}
    read = {"q": own.query, "k": own.key, "v": own.value}
    module = written[PATCH].output.dense if PATCH in written else read[PATCH]
    return module.register_forward_hook(lambda _, given, left: change(left))


def changed(given, changes):  # the logit difference of a run with a change of each layer
    handles = [hooked(layer, change) for layer, change in changes.items()]
    m = difference(given)
    for handle in handles:
        handle.remove()
    return m


def noting(values):
    def note_of(layer):
        def note(value):
            values[layer] = value.clone()  # the one that the rest of the run is computed from
            return values[layer]

        return note

    return {layer: note_of(layer) for layer in range(n_layers)}


clean_values = {}
changed(clean, noting(clean_values))
"""
_PATCH = """
def patch(value):  # one head, or one position, from the clean run
    new = value.clone()
    if BY_POSITION:
        new[:, COLUMN] = clean_values[LAYER][:, COLUMN]
    else:
        own = slice(d_head * COLUMN, d_head * (COLUMN + 1))
        new[..., own] = clean_values[LAYER][..., own]
    return new


result = (changed(corrupt, {LAYER: patch}) - m_corrupt) / whole
"""
_SLOPES = """
seen = {}
with torch.enable_grad():
    slopes = torch.autograd.grad(changed(corrupt, noting(seen)), list(seen.values()))
estimates = []
for layer, slope in enumerate(slopes):
    change = ((clean_values[layer] - seen[layer].detach()) * slope)[0]
    by_column = change if BY_POSITION else change.sum(0).unflatten(0, (-1, d_head))
    estimates.append(by_column.sum(-1) / whole)
result = torch.stack(estimates)  # [layer, head or position]
"""
_OF_PAIRS = {
    LOGIT_DIFFERENCE.name: "result = torch.stack([m_clean, m_corrupt])",
    PATCHING.name: _PATCH,
    ATTRIBUTION_PATCHING.name: _SLOPES,
}


def program(definitions: Sequence[Quantity], subject: Subject) -> str | None:
    """One program for those of `definitions` that an encoder has code for; None for none."""
    info = subject.selection.info
    constants: dict[str, object] = {"FOLDER": folder_name(info)}
    asked = list(dict.fromkeys(definitions))
    of_pairs = [each for each in asked if each.name in _OF_PAIRS]
    blocks = _of_pair(of_pairs, subject, constants) or _of_text(asked, subject, constants)
    if not blocks:
        return None
    lines = [f"{name} = {value!r}" for name, value in constants.items()]
    whole = [FOLDER + REQUIRED, _MODEL, *blocks]
    return "\n".join([at_hand(info), *lines, "", "\n\n".join(b.strip() for b in whole), ""])


def _of_pair(
    known: Sequence[Quantity], subject: Subject, constants: dict[str, object]
) -> list[str]:
    """What is patched between two prompts; the constants that it needs are added."""
    if not known:
        return []
    view = subject.selection
    constants |= {"CLEAN": texts_of(view["clean"]), "CORRUPT": texts_of(view["corrupt"])}
    constants |= {"ANSWER": subject.answer, "FOIL": subject.foil}
    blocks = [_PAIR]
    if any(each is not LOGIT_DIFFERENCE for each in known):
        constants["PATCH"] = subject.activation or "z"
        blocks.append(_PATCHED)
    if PATCHING in known:
        constants |= {"LAYER": subject.layer, "COLUMN": subject.column}
    for quantity in known:
        blocks += [_heading(quantity), _OF_PAIRS[quantity.name], "print(result)"]
    return blocks


def _of_text(
    asked: Sequence[Quantity], subject: Subject, constants: dict[str, object]
) -> list[str]:
    """What there is of one text, or of the subject's head of it."""
    codes = {ENCODER_SCORES[name].name: code for name, code in _CODE.items()}
    codes |= {PATTERN.name: "result = pattern", MASKED_LOSS.name: _MASKED}
    known = [each for each in asked if each.name in codes]
    if not known:
        return []
    constants["TEXTS"] = texts_of(subject.selection["prompt"])
    blocks = [_INPUT]
    if any(each is not MASKED_LOSS for each in known):
        blocks.append(_PATTERN)
    for quantity in known:
        blocks += [_heading(quantity), codes[quantity.name]]
        if (head := subject.head) and quantity is not MASKED_LOSS:
            constants |= {"LAYER": head.layer, "HEAD": head.head}
            blocks.append("result = result[LAYER, HEAD]")
        blocks.append("print(result)")
    return blocks


def _heading(quantity: Quantity) -> str:
    return f"# {quantity.name}: {quantity.unit}"
