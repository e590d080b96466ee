"""The scale of attention is the one that the model itself multiplies by."""

import pytest

from tests.architectures import FAMILIES, from_config, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scale_of_most_families_is_one_over_the_root_of_the_heads_width(family):
    model = tiny(family)
    # Gemma's configuration names 256 whatever the width of a head.
    expected = 1 / 16 if family.startswith("gemma") else model.d_head**-0.5
    assert [model.attention_scale(i) for i in range(model.n_layers)] == pytest.approx(
        [expected] * model.n_layers
    )


def test_gpt2_may_divide_its_scale_by_the_layers_number():
    """Transformers PR 13573; with 1/sqrt(d_head) the third layer's scores are 3 times too large."""
    settings = {"model_type": "gpt2", "vocab_size": 4096, "n_embd": 32, "n_layer": 3, "n_head": 4}
    settings |= {"n_positions": 64, "scale_attn_by_inverse_layer_idx": True}
    model = from_config("inverse", settings)
    scales = [model.attention_scale(layer) for layer in range(3)]
    assert scales == pytest.approx([8**-0.5, 8**-0.5 / 2, 8**-0.5 / 3])
