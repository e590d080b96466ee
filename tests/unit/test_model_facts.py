"""What is said of a model comes from what was loaded; right values come from transformers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import processors
from transformers import AutoTokenizer

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import list_models
from analysis.models.files import fingerprint
from analysis.models.loading import load_model
from analysis.runs.inputs import repeated_tokens, token_text, tokenize
from analysis.runs.predictions import next_token_stats
from app.frame.snippets.loading import loading
from app.text import display_token
from tests import model_folders as made
from tests.model_folders import END, GPT2, LLAMA, NAMED, edit, listed, save

TOKENIZERS = {
    "as-on-the-hub": ({"model_max_length": 64}, {}),
    "bos-in-special-map": (
        {"tokenizer_class": "GPT2Tokenizer"},
        {"special_tokens_map.json": json.dumps({"bos_token": END, "eos_token": END})},
    ),
    "named": (NAMED, {}),
    "an-object": ({**NAMED, "bos_token": {"content": END, "__type": "AddedToken"}}, {}),
    "null": ({**NAMED, "bos_token": None}, {}),
    "no-file": (None, {}),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_the_bos_token_is_the_loaded_tokenizers(root, case):
    """The real GPT-2's tokenizer_config.json names none (TransformerLens 74)."""
    config, files = TOKENIZERS[case]
    folder = save(root, case, GPT2, tokenizer_config=config)
    for name, text in files.items():
        (folder / name).write_text(text)
    right = AutoTokenizer.from_pretrained(folder).bos_token_id
    assert listed(case).has_bos == (right is not None)
    model = load_model(case)
    assert model.info.has_bos == (right is not None)
    if right is not None:
        assert model.bos_id == right
        assert tokenize(model, "The cat sat").ids[0, 0] == right
    assert listed(case) == model.info


def test_what_a_loaded_model_was_found_to_be_is_listed_until_its_files_change(root):
    """A class of tokenizers may bring a BOS that no file names: the page has to learn of it."""
    folder = save(root, "mine", GPT2, tokenizer_config=None)
    edit(folder, tokenizer_class="PreTrainedTokenizerFast")
    model = load_model("mine")
    assert listed("mine") == model.info
    (folder / "tokenizer_config.json").write_text(json.dumps({**NAMED, "bos_token": None}))
    assert not listed("mine").has_bos


@pytest.mark.parametrize(
    "name", ["merges.txt", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"]
)
def test_every_file_that_is_read_counts_in_the_fingerprint(root, name):
    folder = save(root, "mine", GPT2)
    file = folder / name
    if not file.exists():
        file.write_text("{}")
    before = fingerprint(listed("mine"))
    file.write_text(file.read_text() + "\n")
    assert fingerprint(listed("mine")) != before


def test_the_fingerprint_is_of_what_was_loaded(root):
    """Weights that are replaced while a server runs must not answer under the old name."""
    folder = save(root, "mine", GPT2)
    first = load_model("mine")
    weights = folder / "model.safetensors"
    shutil.copy(weights, folder.parent / "kept")
    changed = {name: value * 1.5 for name, value in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    assert not first.is_current
    second = load_model("mine")
    assert second.is_current and second.fingerprint != first.fingerprint
    os.replace(folder.parent / "kept", weights)
    assert not second.is_current and first.is_current
    # What was loaded is its own: neither model has changed with the file.
    assert torch.allclose(second.bridge.W_E, first.bridge.W_E * 1.5)


def test_files_that_change_while_they_are_read_are_noticed(root, monkeypatch):
    folder = save(root, "mine", GPT2)
    from analysis.models import loading

    load = loading.load_hugging_face

    def meanwhile(info, *rest):
        (folder / "tokenizer_config.json").write_text(json.dumps({**NAMED, "x": 1}))
        return load(info, *rest)

    monkeypatch.setattr(loading, "load_hugging_face", meanwhile)
    with pytest.raises(AnalysisError, match="changed while they were read"):
        load_model("mine")


def test_parameters_of_a_second_copy_are_not_counted(root):
    folder = save(root, "mine", LLAMA)
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    right = sum(p.numel() for p in made.transformers_itself(folder).parameters())
    assert listed("mine").n_params == right
    assert load_model("mine").info.n_params == right


def test_no_special_or_added_token_is_drawn(root):
    specials = (END, "<|im_start|>", "<|im_end|>", "<repo_name>")
    tokenizer = made.byte_level(*specials)
    config = {**GPT2, "vocab_size": tokenizer.get_vocab_size()}
    folder = save(root, "mine", config, tokenizer)
    right = set(AutoTokenizer.from_pretrained(folder).added_tokens_decoder)
    assert len(right) == len(specials)
    model = load_model("mine")
    assert not right & set(model.ordinary_ids)
    drawn = repeated_tokens(model, length=31, batch=64).ids[:, 1:]
    assert not right & set(drawn.ravel().tolist())


def test_without_bos_repeated_tokens_begin_with_what_parted_documents(root):
    """A chat model's EOS ends a turn (Qwen3 144)."""
    tokenizer = made.byte_level(END, "<|im_start|>", "<|im_end|>")
    settings = {**LLAMA, "model_type": "qwen3", "head_dim": 8}
    settings["vocab_size"] = tokenizer.get_vocab_size()
    config = {
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": END,
        "tokenizer_class": "Qwen2Tokenizer",
    }
    save(root, "mine", settings, tokenizer, config)
    model = load_model("mine")
    assert not model.info.has_bos and model.info.start == END
    assert repeated_tokens(model, length=3, batch=1).labels[0][0] == END


def test_a_token_that_was_added_to_the_tokenizer_alone_is_refused_where_it_stands(root):
    tokenizer = made.byte_level(END).from_str(made.PLAIN.to_str())
    tokenizer.add_special_tokens(["[PAD]"])
    save(root, "mine", GPT2, tokenizer, {**NAMED, "pad_token": "[PAD]"})
    model = load_model("mine")
    assert tokenize(model, "The cat").length > 2
    with pytest.raises(AnalysisError, match=rf"holds \[PAD\], token id {made.V}"):
        tokenize(model, "The [PAD] cat")


def test_a_tokenizer_without_special_tokens_takes_prompts(root):
    tokenizer = made.byte_level()
    config = {**GPT2, "vocab_size": tokenizer.get_vocab_size()}
    save(root, "mine", config, tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast"})
    model = load_model("mine")
    assert not model.info.has_bos
    assert next_token_stats(model, tokenize(model, "The cat", prepend_bos=False)).loss > 0
    with pytest.raises(AnalysisError, match="neither a BOS nor an EOS token"):
        repeated_tokens(model, length=3)


def test_byte_pieces_and_spaces_are_labelled_as_they_are(root):
    settings = {**LLAMA, "vocab_size": made.byte_fallback().get_vocab_size()}
    save(root, "mine", settings, made.byte_fallback(), made.PIECES)
    model = load_model("mine")
    labels = tokenize(model, "cat cat  cat", prepend_bos=False).labels[0]
    pieces = model.tokenizer.convert_ids_to_tokens(
        model.tokenizer.encode("cat cat  cat", add_special_tokens=False)
    )
    assert labels == tuple(piece.replace("▁", " ") for piece in pieces)
    assert "\\xc3" in tokenize(model, "Zürich").labels[0]


def test_a_row_without_a_token_is_named_by_its_id(root):
    save(root, "mine", {**LLAMA, "vocab_size": made.V + 44})
    model = load_model("mine")
    assert token_text(model.tokenizer, made.V + 10) == f"id {made.V + 10}"


@pytest.mark.parametrize("name", ["attn-only-2l", "gelu-4l"])
def test_no_two_tokens_of_a_shipped_vocabulary_look_the_same(name):
    tokenizer = load_model(name).tokenizer
    shown = [display_token(token_text(tokenizer, i)) for i in tokenizer.get_vocab().values()]
    assert len(set(shown)) == len(shown) == len(tokenizer)


def test_no_two_tokens_look_the_same_whatever_the_character(root):
    tokenizer = made.byte_level(END).from_str(made.PLAIN.to_str())
    tokenizer.add_tokens(["·", "··", "↵", "\u00a0", "\\xa0", " ·"])
    settings = {**GPT2, "vocab_size": tokenizer.get_vocab_size()}
    model = load_model(save(root, "mine", settings, tokenizer))
    ids = model.tokenizer.get_vocab().values()
    shown = [display_token(token_text(model.tokenizer, i)) for i in ids]
    assert len(set(shown)) == len(shown)


def test_a_bos_that_is_typed_stays_and_is_said(root):
    model = load_model(save(root, "mine", GPT2))
    tokens = tokenize(model, f"{END}The cat")
    assert tokens.ids[0, 0] == tokens.ids[0, 1] == model.bos_id
    assert "stands there twice" in tokens.remark
    assert not tokenize(model, "The cat").remark
    assert not tokenize(model, f"{END}The cat", prepend_bos=False).remark


def test_the_full_context_is_taken_and_what_shortens_it_is_said(root):
    save(root, "short", {**GPT2, "n_positions": 1024})
    assert (listed("short").n_ctx, listed("short").shorter) == (1024, "")
    folder = save(root, "mine", LLAMA)
    edit(folder, max_position_embeddings=1_000_000)
    info = listed("mine")
    assert info.n_ctx == 4096 and "1,000,000 tokens; of 4,096" in info.shorter
    assert load_model("mine").n_ctx == 4096


def test_the_models_of_the_list_take_their_full_context():
    catalog.refresh()
    takes = {info.name: info.n_ctx for info in list_models()}
    assert (takes["gpt2"], takes["pythia-70m"]) == (1024, 2048)
    llama = next(info for info in list_models() if info.name == "Llama-3.2-1B")
    # Patterns of 32 heads in 256 MiB: 4 * 32 * n^2 bytes.
    assert llama.n_ctx == 1448 and "131,072 tokens" in llama.shorter


def test_no_tensor_of_a_loaded_model_is_mapped_from_a_file(root):
    """Cut off while a server runs, the file would end the process; written to, change numbers."""
    model = load_model(save(root, "mine", {**LLAMA, "hidden_size": 256}))
    lines = Path("/proc/self/maps").read_text().splitlines()
    parts = [line.split()[0].split("-") for line in lines if "safetensors" in line]
    mapped = [(int(first, 16), int(last, 16)) for first, last in parts]
    for tensor in (*model.bridge.parameters(), *model.bridge.buffers()):
        assert not any(first <= tensor.data_ptr() < last for first, last in mapped)


def test_logits_that_are_no_numbers_are_refused_in_a_sentence(root):
    model = load_model(save(root, "mine", GPT2))
    model.bridge.blocks[2].mlp.original_component.c_proj.bias.data[0] = np.inf
    with pytest.raises(AnalysisError, match="logits are not finite"):
        next_token_stats(model, tokenize(model, "The cat"))


def test_a_bos_that_the_tokenizer_puts_there_unnamed_is_its_bos(root):
    """Only the post-processor of tokenizer.json knows it; prompts went without."""
    tokenizer = made.byte_level("<|begin_of_text|>", "<|end_of_text|>")
    tokenizer = tokenizer.from_str(tokenizer.to_str())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    settings = {**LLAMA, "vocab_size": tokenizer.get_vocab_size()}
    folder = save(root, "mine", settings, tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast"})
    right = AutoTokenizer.from_pretrained(folder)("The cat sat")["input_ids"]
    model = load_model("mine")
    assert model.info.has_bos and right[0] == 0
    assert tokenize(model, "The cat sat").ids[0].tolist() == right
    assert listed("mine") == model.info
    assert "tokenizer.bos_token = '<|begin_of_text|>'" in loading(model.info)[-1]


def test_the_token_in_front_may_be_another_than_the_named_bos(root):
    """XGLM's tokenizer names <s> and puts </s> there."""
    tokenizer = made.byte_level("<s>", "</s>")
    tokenizer = tokenizer.from_str(tokenizer.to_str())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", 1)]
    )
    settings = {**LLAMA, "vocab_size": tokenizer.get_vocab_size()}
    named = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    folder = save(root, "mine", settings, tokenizer, named)
    right = AutoTokenizer.from_pretrained(folder)("The cat sat")["input_ids"]
    assert tokenize(load_model("mine"), "The cat sat").ids[0].tolist() == right and right[0] == 1


def test_an_index_beside_a_single_file_is_a_leftover_as_in_transformers(root):
    folder = save(root, "mine", LLAMA)
    weights = load_file(folder / "model.safetensors")
    old = {name: value * 1.5 for name, value in weights.items()}
    save_file(old, folder / "model-00001-of-00001.safetensors", metadata={"format": "pt"})
    parts = dict.fromkeys(weights, "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    right = made.transformers_itself(folder).get_input_embeddings().weight
    assert torch.equal(load_model("mine").bridge.W_E, right)


def test_what_a_config_leaves_out_is_what_its_architecture_has(root):
    """A config.json as people write it, with what differs from the usual alone."""
    folder = save(root, "mine", {**GPT2, "n_embd": 24, "n_layer": 12, "n_head": 12})
    (folder / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "vocab_size": made.V, "n_embd": 24, "n_positions": 64})
    )
    model = load_model("mine")
    tokens = tokenize(model, "The cat sat on the mat", prepend_bos=False)
    with torch.no_grad():
        logits = made.transformers_itself(folder)(tokens.tensor).logits[:, :-1].log_softmax(-1)
    right = logits.gather(-1, tokens.tensor[:, 1:, None])[..., 0]
    np.testing.assert_allclose(next_token_stats(model, tokens).log_probs, right, atol=1e-5)


def _renamed(folder):
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")


def _gguf(folder):
    (folder / "model.safetensors").rename(folder / "model-Q4_K_M.gguf")


def _pointer(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123\n"
    (folder / "model.safetensors").write_text(text)


def _pointer_of_the_tokenizer(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123\n"
    (folder / "tokenizer.json").write_text(text)


def _without_a_head(folder):
    weights = load_file(folder / "model.safetensors")
    bare = {n.removeprefix("model."): v for n, v in weights.items() if n != "lm_head.weight"}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})


def _classifier(folder):
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = weights.pop("lm_head.weight")[:2].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _mlx(folder):
    edit(folder, quantization={"group_size": 64, "bits": 4})


def _without_a_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def _own_code(folder):
    edit(folder, model_type="baichuan", auto_map={"AutoConfig": "configuration_x.XConfig"})
    (folder / "configuration_x.py").write_text("raise SystemExit")


def _no_kind(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_renamed, "there is model.fp16.safetensors. If that holds the model's weights"),
        (_gguf, "as GGUF, quantised for llama.cpp. Choose the model"),
        (_pointer, "model.safetensors of mine is only a pointer of Git LFS"),
        (_pointer_of_the_tokenizer, "tokenizer.json of mine is only a pointer of Git LFS"),
        (_without_a_head, "hold no head that predicts the next token, so it has no logits"),
        (_classifier, "but score.weight as a classifier or reward model has"),
        (_mlx, "quantised .quantization in its config.json, as MLX has it"),
        (_without_a_tokenizer, "mine has no tokenizer: none of tokenizer.json"),
        (_own_code, "The model of mine needs Python code that comes with it"),
        (_no_kind, "names no model_type"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_cannot_be_used_says_what_it_is(root, change, said):
    """To finish a download or to copy anew helped nobody: that was not what was wrong."""
    change(save(root, "mine", LLAMA))
    catalog.refresh()
    with pytest.raises(AnalysisError, match=said) as raised:
        load_model("mine")
    assert str(raised.value).endswith(".") and str(root) not in str(raised.value)
