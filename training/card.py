"""The model card: what a reader of `models/<name>/README.md` should know."""

from pathlib import Path

from analysis.head import Head
from analysis.models.info import ModelInfo
from training.bar import Line
from training.corpus import Corpus

# What the text is and whose it is: the same for every model that was trained on it.
ABOUT_TEXT = Path(__file__).with_name("corpus.md")


def write_card(
    recipe: dict,
    info: ModelInfo,
    corpus: Corpus,
    history: list[dict],
    lines: list[Line],
    minutes: float,
) -> str:
    """The card in Markdown."""
    last = history[-1]
    shipped = [record for record in history if record["checkpoint"]]
    phases = "\n".join(
        f"| {phase['until_tokens'] / 1e6:.1f} M | {phase['row_length']} | {phase['rows']} "
        f"| {phase['repeat_share']:.0%} |"
        for phase in recipe["phases"]
    )
    bar = "\n".join(
        f"| {line.meaning} | {line.value:.3g} | {line.limit} | {'yes' if line.met else '**no**'} |"
        for line in lines
    )
    checkpoints = "\n".join(
        f"| `{record['checkpoint']}` | {record['tokens'] / 1e6:.2f} M | {record['text_loss']:.2f} "
        f"| {record['first_half_loss']:.2f} / {record['second_half_loss']:.2f} "
        f"| {_strongest(record, 'previous')} | {_strongest(record, 'induction')} |"
        for record in shipped
    )
    muon = ", Muon for the matrices inside the blocks" if recipe["optimizer"]["muon"] else ""
    norm = "LayerNorm" if info.normalization else "none"
    return f"""# {info.name}

{recipe["about"].strip()}

| | |
|---|---|
| Layers, heads per layer | {info.n_layers}, {info.n_heads} |
| Width of the residual stream, of a head, of an MLP | {info.d_model}, {info.d_head}, \
{info.d_mlp or "no MLP"} |
| Normalisation | {norm} |
| Positions | learned, added to the embedding; at most {info.n_ctx} tokens |
| Vocabulary | {info.d_vocab:,} byte-level BPE tokens; `<|endoftext|>` (id {corpus.bos_id}) stands \
at position 0 of every row |
| Trained parameters | {info.n_params:,} (embedding and unembedding are separate) |
| Files | float16 safetensors, named as in TransformerLens's native bridge |

## How it was made

`python -m training training/{info.name}.toml --corpus <text file>`; the recipe holds every number.
{minutes:.0f} minutes on two shared CPU cores, {last["tokens"] / 1e6:.1f} M tokens in \
{last["step"]:,} steps of AdamW{muon}. {recipe["made"].strip()}

**Text.** {ABOUT_TEXT.read_text(encoding="utf-8").strip()}

{len(corpus.train) / 1e6:.1f} M tokens to train on, {len(corpus.held_out) / 1e6:.2f} M held out; the
tokenizer was trained on the former only.

**Repeats were mixed in on purpose.** A part of the rows is not text but a stretch of tokens
repeated until the row is full (8 to 128 tokens long; half of them uniform over the vocabulary, half
shuffled text). Without them induction heads take far longer to form. So the model is better at
copying random tokens than a model trained on text alone, and how fast its heads formed says
nothing about other models.

| until tokens | tokens per row | rows per step | share of repeated rows |
|---|---|---|---|
{phases}

## What it shows

Measured on 10 sequences of 50 random tokens repeated that training never used, and on text of the
held-out novels, in float32, with the app's own functions. The text loss in this table is over all
of the held-out text; for the checkpoints below, but for the last, over an evenly spread sample.

| figure | measured | bar | met |
|---|---|---|---|
{bar}

## Checkpoints

All {len(history)} checkpoints were measured (`history.json`); {len(shipped)} are shipped, closest
together where the induction heads form. The last one is `model.safetensors`.

| file | tokens | text loss | loss on the halves | best previous-token head | best induction head |
|---|---|---|---|---|---|
{checkpoints}

## Limits

{recipe["limits"].strip()}

## Licence

The weights come under the repository's licence; for the text they were trained on, see above.
"""


def _strongest(record: dict, score: str) -> str:
    value, head = max(
        (value, Head(layer, head))
        for layer, values in enumerate(record["scores"][score])
        for head, value in enumerate(values)
    )
    return f"{head.label} {value:.2f}"
