"""Code of an encoder's figures: transformers alone, which gives patterns by itself."""

from collections.abc import Sequence

from analysis.definitions import ENCODER_SCORES, MASKED_LOSS, PATTERN, Quantity
from analysis.models.catalog import folder_name
from analysis.tokens import texts_of
from app.frame.snippets.loading import FOLDER, REQUIRED, at_hand
from app.links.subject import Subject

_RUN = """
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

torch.set_grad_enabled(False)
tokenizer = AutoTokenizer.from_pretrained(there[0])
# What an encoder without a head for masked tokens gets for one is not used.
model = AutoModelForMaskedLM.from_pretrained(
    there[0], dtype=torch.float32, attn_implementation="eager"
).eval()
given = tokenizer(*TEXTS, return_tensors="pt")
if getattr(model.config, "type_vocab_size", 1) < 2:
    given.pop("token_type_ids", None)
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


def program(definitions: Sequence[Quantity], subject: Subject) -> str | None:
    """One program for those of `definitions` that an encoder has code for; None for none."""
    info, head = subject.selection.info, subject.head
    codes = {ENCODER_SCORES[name].name: code for name, code in _CODE.items()}
    codes |= {PATTERN.name: "result = pattern", MASKED_LOSS.name: _MASKED}
    known = [each for each in dict.fromkeys(definitions) if each.name in codes]
    if not known:
        return None
    constants: dict[str, object] = {
        "FOLDER": folder_name(info),
        "TEXTS": texts_of(subject.selection["prompt"]),
    }
    blocks = [FOLDER + REQUIRED, _RUN]
    if any(each is not MASKED_LOSS for each in known):
        blocks.append(_PATTERN)
    for quantity in known:
        blocks += [f"# {quantity.name}: {quantity.unit}", codes[quantity.name]]
        if head and quantity is not MASKED_LOSS:
            constants |= {"LAYER": head.layer, "HEAD": head.head}
            blocks.append("result = result[LAYER, HEAD]")
        blocks.append("print(result)")
    lines = [f"{name} = {value!r}" for name, value in constants.items()]
    return "\n".join([at_hand(info), *lines, "", "\n\n".join(b.strip() for b in blocks), ""])
