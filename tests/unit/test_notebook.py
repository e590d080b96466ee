"""What a notebook shows: arrays from anywhere, checked; and what comes back."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from anywidget._util import enable_custom_widget_manager_once
from transformers import AutoModelForCausalLM, AutoTokenizer

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from app.components.head_grid.view import MAX_LOCKED
from app.notebook import compare, patterns_of, show
from app.notebook.arrays import check_patterns, check_tokens
from tests.architectures import tiny
from tests.hostile import HOSTILE
from tests.model_folders import LLAMA, save
from tests.unit.test_head_grid_packing import causal

ROOT = Path(__file__).parents[2]
LAYERS, HEADS, N = 2, 3, 5
TOKENS = list("abcde")
PATTERNS = causal(LAYERS * HEADS, N).reshape(LAYERS, HEADS, N, N)
TENSOR = torch.from_numpy(PATTERNS)


class Cache:
    """As TransformerLens has it: names, and tensors with a batch."""

    def __init__(self) -> None:
        self.cache_dict = {
            f"blocks.{layer}.attn.hook_pattern": TENSOR[layer][None] for layer in range(LAYERS)
        } | {"blocks.0.hook_resid_pre": torch.zeros(1, N, 4)}

    def keys(self) -> Any:
        """The names."""
        return self.cache_dict.keys()

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.cache_dict[name]

    def __iter__(self) -> Any:
        raise AssertionError("a cache's iterator is not that of its names")


WELL = {
    "numpy": PATTERNS,
    "float64": PATTERNS.astype(np.float64),
    "lists": PATTERNS.tolist(),
    "torch": TENSOR.clone().requires_grad_(),
    "a batch of one": TENSOR[:, None],
    "a tuple of layers": tuple(layer[None] for layer in TENSOR),
    "a list of arrays": list(PATTERNS),
    "an output": SimpleNamespace(attentions=tuple(layer[None] for layer in TENSOR)),
    "a cache": Cache(),
    "a mapping": dict(Cache().cache_dict),
}


@pytest.mark.parametrize("given", WELL.values(), ids=WELL)
def test_patterns_from_anywhere_are_the_same_patterns(given: Any) -> None:
    checked = check_patterns(given)
    assert checked.layers == (0, 1)
    assert np.array_equal(checked.values, PATTERNS.astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_taken_with_their_rounding(dtype: torch.dtype) -> None:
    values = check_patterns(TENSOR.to(dtype)).values
    assert values.dtype == np.float32
    assert np.abs(values - PATTERNS).max() < 4e-3


@pytest.mark.parametrize(("given", "shape"), [(PATTERNS[0], (1, 3)), (PATTERNS[0, 1], (1, 1))])
def test_one_layer_and_one_head_are_taken(given: np.ndarray, shape: tuple[int, int]) -> None:
    assert check_patterns(given).values.shape[:2] == shape


def changed(place: tuple[int, ...], value: float) -> np.ndarray:
    values = PATTERNS.copy()
    values[place] = value
    return values


ILL = {
    "NaN": (changed((0, 1, 2, 1), np.nan), "L0H1 from 2 to 1 is nan"),
    "infinite": (changed((1, 0, 0, 0), np.inf), "L1H0 from 0 to 0 is inf"),
    "scores": (PATTERNS * 7, "after the softmax"),
    "negative": (changed((1, 2, 4, 0), -0.5), "L1H2 from 4 to 0 is -0.5"),
    "a row that sums to 0": (changed((1, 2, 0, 0), 0), "row 0 of L1H2 sums to 0"),
    "no rows": (np.stack([PATTERNS[0, 0].T]), "sums to"),
    "both directions": (np.full((2, 3, 5, 5), 0.2), "attention to a later token"),
    "a batch": (TENSOR[:, None].repeat(1, 2, 1, 1, 1), "A batch of 2 sequences"),
    "a batch in a tuple": (tuple(layer[None].repeat(4, 1, 1, 1) for layer in TENSOR), "batch of 4"),
    "no square": (PATTERNS[..., :3], r"\[2, 3, 5, 3\]"),
    "one dimension": (np.ones(4), r"shape \[4\].*\[layer, head, dest, src\]"),
    "six dimensions": (np.ones((1,) * 6), r"\[layer, head, dest, src\]"),
    "none at all": (np.ones((0, 3, 5, 5)), r"\[layer, head, dest, src\]"),
    "no tokens": (np.ones((2, 3, 0, 0)), r"\[layer, head, dest, src\]"),
    "different layers": ([PATTERNS[0], PATTERNS[1, :, :3, :3]], "different shapes"),
    "texts": (np.array([[["a"]]]), "real numbers"),
    "complex": (PATTERNS.astype(complex), "real numbers"),
    "a complex tensor": (TENSOR.to(torch.complex64), "real numbers"),
    "a tensor without numbers": (TENSOR.to("meta"), "no array"),
    "a sparse tensor": (TENSOR.to_sparse(), "no array"),
    "a layer of many digits": ({f"blocks.{'9' * 5000}.attn.hook_pattern": TENSOR[0]}, "no pattern"),
    "booleans": (np.eye(3, dtype=bool), "real numbers"),
    "ragged": ([[1.0], [0.5, 0.5]], r"\[layer, head, dest, src\]"),
    "no attentions": (SimpleNamespace(attentions=None), "output_attentions=True"),
    "a layer without": ((TENSOR[:1], None), "Of layer 1 there is no pattern"),
    "empty attentions": ((None, None), 'attn_implementation="eager"'),
    "an empty list": ([], "output_attentions=True"),
    "another cache": ({"blocks.0.hook_resid_pre": TENSOR}, "blocks.0.attn.hook_pattern"),
    "a text": ("attention", r"\[layer, head, dest, src\]"),
    "nothing": (None, "output_attentions=True"),
}


@pytest.mark.parametrize(("given", "said"), ILL.values(), ids=ILL)
def test_what_is_no_causal_pattern_is_refused_with_what_fits(given: Any, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        show(given, TOKENS)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (TOKENS[:4], "4 tokens for patterns of 5"),
        ([1, 2, 3, 4, 5], "convert_ids_to_tokens"),
        ([*TOKENS[:4], None], "NoneType"),
        (None, "5 positions.* NoneType"),
        (5, "5 positions.* int"),
    ],
)
def test_tokens_are_one_text_for_each_position(tokens: Any, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        show(PATTERNS, tokens)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([1, 2], "dictionary of names"),
        ({"mine": "x"}, "real numbers"),
        ({"mine": [[1, 2], [3]]}, "no array"),
        ({"mine": np.zeros((LAYERS, HEADS), complex)}, "real numbers"),
        ({"mine": np.zeros(HEADS)}, r"'mine' has the shape \[3\]"),
    ],
)
def test_scores_are_one_number_for_each_head(scores: Any, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        show(PATTERNS, TOKENS, scores=scores)


def test_scores_are_taken_from_a_tensor_that_is_trained() -> None:
    """As a metric of one's own gives them, in 16 bits too."""
    for dtype in (torch.float32, torch.bfloat16):
        show(PATTERNS, TOKENS, scores={"mine": torch.zeros(2, 3, dtype=dtype, requires_grad=True)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"titles": ("one",)}, "two texts"),
        ({"titles": (1, 2)}, "two texts"),
        ({"head": 1}, "such as 'L0H1'"),
    ],
)
def test_what_compare_cannot_name_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        compare(PATTERNS, PATTERNS, TOKENS, **{"head": "L0H1", **options})


def test_half_a_character_does_not_stop_a_picture() -> None:
    assert check_tokens(["a\ud800"], 1) == ["a\\ud800"]
    show(PATTERNS, ["\ud800", *TOKENS[1:]]).still_html()


def test_what_is_locked_comes_back_as_python_values() -> None:
    viewer = show(PATTERNS, TOKENS)
    heard: list[Any] = []
    viewer.observe(lambda change: heard.append(change.new), "locked")
    assert (viewer.focus, viewer.locked, viewer.tokens) == (Head(0, 0), [], [])
    viewer.view = {"focus": "L1H2", "locked": ["L1H2"], "tokens": [4], "direction": "src"}
    assert viewer.focus == Head(1, 2)
    assert heard == [[Head(1, 2)]] and viewer.locked == heard[0]
    assert (viewer.tokens, viewer.direction) == ([4], "src")


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"focus": "nope", "locked": [], "tokens": [], "direction": "src"},
        {"focus": "L9H9", "locked": ["L9H9", "L0H0"] * 9, "tokens": [-1, 77], "direction": "dest"},
        {"focus": "L0H0", "locked": 3, "tokens": [], "direction": "dest"},
        {"focus": "L0H0", "locked": [], "tokens": [], "direction": "up"},
    ],
)
def test_what_a_browser_reports_is_only_taken_as_far_as_it_is_a_view(view: dict[str, Any]) -> None:
    viewer = show(PATTERNS, TOKENS)
    viewer.view = view
    assert viewer.focus == Head(0, 0)
    assert len(viewer.locked) <= MAX_LOCKED and set(viewer.locked) <= {Head(0, 0)}
    assert viewer.tokens == [] and viewer.direction == "dest"


def test_the_still_picture_is_an_image_and_holds_no_markup_of_tokens() -> None:
    tokens = [*HOSTILE]
    patterns = causal(2, len(tokens))
    viewers = (
        show(patterns[None], tokens),
        compare(patterns[0], patterns[1], tokens, titles=(HOSTILE[0], HOSTILE[1])),
    )
    for viewer, count in zip(viewers, (1, 2), strict=True):
        html = viewer.still_html()
        assert html.count("<") == html.count("<img class=") == count
        assert (
            html.count(">") == count
            and "onerror" not in html.replace("&quot;", "").split("src=")[0]
        )


def test_a_still_picture_of_much_is_bounded_and_says_so() -> None:
    patterns = np.tril(np.ones((1, 40, 300, 300), np.float32))
    patterns /= patterns.sum(-1, keepdims=True)
    html = show(patterns, ["t"] * 300).still_html()
    assert "The first 11 of 40 heads." in html
    assert len(html) < 2_000_000


def test_scores_are_checked_too() -> None:
    with pytest.raises(AnalysisError, match=r"\[layer, head\], \[2, 3\]"):
        show(PATTERNS, TOKENS, scores={"mine": np.zeros((3, 2))})
    show(PATTERNS, TOKENS, scores={"mine": np.full((2, 3), np.nan)})


def test_two_patterns_are_compared_head_by_head() -> None:
    with pytest.raises(AnalysisError, match="Which of 6 heads"):
        compare(PATTERNS, PATTERNS, TOKENS)
    with pytest.raises(AnalysisError, match="no pattern of L2H0; there are L0H0 to L1H2"):
        compare(PATTERNS, PATTERNS, TOKENS, head="L2H0")
    with pytest.raises(AnalysisError, match="not a head label"):
        compare(PATTERNS, PATTERNS, TOKENS, head="first")
    with pytest.raises(AnalysisError, match="3 tokens for patterns of 5"):
        compare(PATTERNS[0, 0], PATTERNS[0, 1], TOKENS, TOKENS[:3])
    compare(PATTERNS[0, 0], PATTERNS[0, 1, :3, :3], TOKENS, TOKENS[:3])


def test_a_model_of_transformers_gives_its_own_patterns_and_is_left_as_it_was(
    tmp_path: Path,
) -> None:
    folder = save(tmp_path, "llama", LLAMA)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    eager = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    ids = tokenizer("one two one", return_tensors="pt")["input_ids"]
    expected = torch.stack(eager(ids, output_attentions=True).attentions)[:, 0].detach().numpy()
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").train()
    patterns, tokens = patterns_of(model, tokenizer, "one two one")
    assert np.abs(patterns - expected).max() < 1e-6
    assert len(tokens) == ids.shape[1]
    assert model.training and model.config._attn_implementation == "sdpa"
    assert not model.lm_head.weight.grad
    assert show(model, "one two one", tokenizer=tokenizer).focus == Head(0, 0)
    with pytest.raises(AnalysisError, match="tokenizer"):
        show(model, "one two one")
    with pytest.raises(AnalysisError, match="no tokens"):
        patterns_of(model, tokenizer, "")
    for wrong in (tokenizer, None, PATTERNS):
        with pytest.raises(AnalysisError, match="patterns_of"):
            patterns_of(wrong, tokenizer, "one")


@pytest.mark.parametrize("architecture", ["native", "llama"])
def test_a_model_of_transformer_lens_and_its_cache_are_shown(architecture: str) -> None:
    model = tiny(architecture)
    text = "one two one"
    tokens = analysis.tokenize(model, text)
    values = analysis.attention_patterns(model, tokens).values[0]
    _, cache = model.bridge.run_with_cache(text)
    given = model.bridge.to_str_tokens(text)
    for viewer in (show(model.bridge, text), show(cache, given)):
        assert np.abs(viewer._patterns - values.reshape(-1, *values.shape[2:])).max() < 1e-6
        assert viewer._labels == list(given) and len(given) == tokens.length


def test_a_model_by_name_is_shown_with_the_scores_of_its_heads() -> None:
    viewer = show("attn-only-2l", "one two one")
    model = analysis.load_model("attn-only-2l")
    tokens = analysis.tokenize(model, "one two one")
    values = analysis.attention_patterns(model, tokens).values[0]
    assert np.abs(viewer._patterns - values.reshape(-1, *values.shape[2:])).max() < 1e-6
    assert b'"previous"' in viewer.payload
    with pytest.raises(AnalysisError, match="no model of that name"):
        show("nope", "one two one")
    with pytest.raises(AnalysisError, match="the second is a list"):
        show(PATTERNS, "one two one")


def test_in_a_notebook_no_module_of_ones_own_is_hidden(tmp_path: Path) -> None:
    """Nor is ours: a person's `app.py` and `analysis/` beside the notebook stay theirs."""
    (tmp_path / "app.py").write_text("MINE = True\n")
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("MINE = True\n")
    code = (
        "import sys\nimport headscope\nimport numpy as np\n"
        "viewer = headscope.show(np.eye(3), ['a', 'b', 'c'])\n"
        "heavy = {'torch', 'streamlit', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import app, analysis\nassert app.MINE and analysis.MINE\n"
        "assert headscope.compare(np.eye(3), np.eye(3), ['a', 'b', 'c']).still_html()\n"
        "try:\n    headscope.show(np.eye(3), ['a'])\n"
        "except ValueError as error:\n    print(error)\n"
    )
    site = f"import sys; sys.path.append({str(ROOT)!r}); exec({code!r})"
    done = subprocess.run(
        [sys.executable, "-c", site], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 tokens for patterns of 3 positions; expected is one for each.\n"


def test_colab_is_told_what_draws_the_widget_which_fetches_nothing_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It draws none but its own kinds unless an output says, beside it, which manager can."""
    colab = ModuleType("google.colab.output")
    colab._widgets = SimpleNamespace(_installed_url=None)

    def enable() -> None:
        colab._widgets._installed_url = "https://colab.invalid/manager.js"

    colab.enable_custom_widget_manager = enable
    monkeypatch.setitem(sys.modules, "google.colab.output", colab)
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        "app.notebook.widgets.display",
        lambda data, metadata=None, raw=False: shown.append((data, metadata)),
    )
    enable_custom_widget_manager_once.cache_clear()
    for viewer in (show(PATTERNS, TOKENS), compare(PATTERNS, PATTERNS, TOKENS, head="L0H1")):
        shown.clear()
        viewer._ipython_display_()
        (data, beside), (still, _) = shown
        kind = "application/vnd.jupyter.widget-view+json"
        assert data[kind]["model_id"] == viewer.model_id
        manager = {"url": "https://colab.invalid/manager.js"}
        assert beside == {kind: {"colab": {"custom_widget_manager": manager}}}
        assert "<img" in still["text/html"]
        # Its script is one module without others.
        script = re.sub(r"/\*.*?\*/", "", viewer._esm, flags=re.DOTALL)
        loads = r"^\s*import\b|^\s*export\b.* from\b|\bimport\(|\bfetch\(|https?:"
        assert not re.search(loads, script, re.MULTILINE)
    enable_custom_widget_manager_once.cache_clear()
