"""Tiny models with a chat template, as people publish them."""

import json
from pathlib import Path

from tests.model_folders import END, LLAMA, NAMED, byte_level, save

# SmolLM2's own, word for word: it adds a system message of its own.
CHAT_ML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
# Like Llama 2's: the system's text stands in the first turn of the user, and borders are text.
INST = (
    "{% if messages[0]['role'] == 'system' %}{% set first = '<<SYS>>\n' + messages[0]['content'] + "
    "'\n<</SYS>>\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}"
    "{% set rest = messages %}{% endif %}{% for message in rest %}{% if (message['role'] == 'user')"
    " != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must take turns') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + (first if loop.first else '') + "
    "message['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' "
    "+ eos_token }}{% endif %}{% endfor %}"
)
# Like Gemma's: no system, and the assistant is called otherwise.
MODEL_TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{{ '<|im_start|>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + "
    "message['content'] | trim + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>model\n' }}{% endif %}"
)


def save_chat(root: Path, name: str, template: str, length: int = 256) -> Path:
    """A folder of a tiny model with a template, in the file that transformers writes it into."""
    tokenizer = byte_level(END, "<|im_start|>", "<|im_end|>")
    settings = {
        **LLAMA,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": length,
    }
    folder = save(root, name, settings, tokenizer, NAMED)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def name_template(folder: Path, template: str) -> None:
    """Put the template where older folders have it instead."""
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
