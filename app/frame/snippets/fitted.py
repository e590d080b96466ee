"""Code as it holds for models with a step that most do not have: a factor, another turn or norm."""

import re

from analysis.models.info import ModelInfo

# What a norm multiplies by, where there may be no weight.
BARE_GAIN = """
def gain(norm):  # these norms have no weight
    return torch.ones(model.cfg.d_model)
"""
_NORMED = """
    norm = getattr(model.blocks[layer].attn, f"{side}_norm", None)
    if norm is not None:  # its scale is the one that the whole had
        scale = cache[f"{attention}.{side}_norm.hook_scale"][:, shared]
        vectors = vectors / scale * gain(norm)
"""
_TURN = """
    if f"{{attention}}.hook_cos" in cache.keys():
        cos, sin = cache[f"{{attention}}.hook_cos"], cache[f"{{attention}}.hook_sin"]
        turning, rest = vectors[..., : cos.shape[-1]], vectors[..., cos.shape[-1] :]
{aside}
        vectors = torch.cat([turning * cos + aside * sin, rest], -1)
"""
_HALVES = """
        aside = torch.cat([-turning.chunk(2, -1)[1], turning.chunk(2, -1)[0]], -1)
"""
_PAIRS = """
        if torch.equal(*cos.chunk(2, -1)):  # the angles of all pairs, twice in a row
            cos, sin = (each.chunk(2, -1)[0].repeat_interleave(2, -1) for each in (cos, sin))
        aside = torch.stack([-turning[..., 1::2], turning[..., ::2]], -1).flatten(-2)
"""
_COMPARED = """
def compared(side, layer, head, vectors=None):  # [batch, pos, d_head]
    attention = f"blocks.{{layer}}.attn"
    own = cache[f"{{attention}}.hook_{{side}}"]
    shared = head * own.shape[2] // n_heads  # heads of a group share keys
    vectors = own[:, :, shared] if vectors is None else vectors
{steps}
    return vectors
"""


def compared(info: ModelInfo) -> str | None:
    """How queries and keys meet in a model that turns them in its own way; None: as most do."""
    rules = {turn.rule for turn in info.turns}
    last = any(turn.norm_last for turn in info.turns)
    if "pairs" not in rules and not last:
        return None
    turn = _TURN.format(aside=(_PAIRS if "pairs" in rules else _HALVES).strip("\n")).strip("\n")
    steps = [_NORMED.strip("\n"), turn]
    return _COMPARED.format(steps="\n".join(reversed(steps) if last else steps))


def fitted(code: str, info: ModelInfo) -> str:
    """Code with the factors of a model, and without the bias of norms that have none."""
    traits = info.traits
    if (factor := traits.write_factor) != 1:
        code = re.sub(
            r"(model\.blocks\[\w+\]\.attn|attention)\.W_O\b", rf"(\g<0> * {factor!r})", code
        )
        code = code.replace(
            "if bias is None else bias\n", f"if bias is None else bias * {factor!r}\n"
        )
        stacked = r"^W_Q, W_K, W_V, W_O = \(stacked.*$"
        code = re.sub(stacked, rf"\g<0>\nW_O = W_O * {factor!r}", code, flags=re.MULTILINE)
    if (factor := traits.mlp_factor) != 1:
        code = re.sub(r"block\.mlp\(.*\)\[0\]|\.mlp\.W_out\[\w+\]", rf"\g<0> * {factor!r}", code)
    if (factor := traits.embed_factor) != 1:
        code = re.sub(r"\bmodel\.W_E\b", f"(model.W_E * {factor!r})", code)
    if (factor := traits.logit_factor) != 1:
        code = re.sub(r"\bmodel\.(W_U|b_U)\b", rf"(\g<0> * {factor!r})", code)
    if not traits.norm_biases:
        code = re.sub(r"^.*\.original_component\.bias\n", "", code, flags=re.MULTILINE)
    return code
