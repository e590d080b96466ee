"""Runs of the layers above an edit, against whole runs of a model as its folder holds it."""

import numpy as np
import pytest
import torch

from analysis.head import all_heads
from analysis.models.loading import load_model
from analysis.runs.suffix import Edit, record, rerun, runs_suffixes, z_points
from tests.model_folders import GEMMA3, save, transformers_itself

GEMMA2 = {
    **GEMMA3,
    "model_type": "gemma2",
    "query_pre_attn_scalar": 50,
    "attn_logit_softcapping": 4.0,
}


@pytest.mark.parametrize("final", [3.0, 30.0, None])
def test_gemma_2_takes_the_quick_road_whatever_bends_its_logits(root, final) -> None:  # noqa: ANN001
    """Every head silenced, against transformers itself with a hook before its o_proj."""
    folder = save(root, "gemma", {**GEMMA2, "final_logit_softcapping": final})
    model, plain = load_model("gemma"), transformers_itself(folder)
    assert runs_suffixes(model)
    ids = (torch.arange(18) * 11 % model.d_vocab).reshape(2, 9)
    positions = torch.arange(9)
    heads = all_heads(model.info)
    zero = torch.zeros(())
    cases = [(Edit(h.layer, "attn.hook_z", (slice(None), h.head), zero),) for h in heads]

    def read(logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1)[..., 7]

    found = rerun(model, record(model, ids, z_points(model)), cases, positions, read)
    changes = []
    with torch.inference_mode():
        clean = plain(ids).logits
        for head, mine in zip(heads, found, strict=True):
            of_head = slice(head.head * model.d_head, (head.head + 1) * model.d_head)

            def silence(module, inputs, of_head=of_head):  # noqa: ANN001, ANN202
                z = inputs[0].clone()
                z[..., of_head] = 0
                return (z,)

            projection = plain.model.layers[head.layer].self_attn.o_proj
            handle = projection.register_forward_pre_hook(silence)
            logits = plain(ids).logits
            handle.remove()
            np.testing.assert_allclose(mine, read(logits, positions), atol=1e-4)
            changes.append(float((logits - clean).abs().max()))
    assert min(changes) > 1e-2  # so that no edit at all would show
