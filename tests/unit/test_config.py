"""Settings of a hosted instance: what a file may say, and what is said about a wrong one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.models import catalog
from app.config import Config, ConfigError, read_config, settings

ROOT = Path(__file__).parents[2]


def written(folder: Path, text: str) -> Path:
    file = folder / "headscope.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'title = "Class"\nmax_tokens = 512\nmodels = ["a"]'))
    assert config == Config(title="Class", max_tokens=512, models=("a",))
    assert read_config(written(tmp_path, "")) == Config()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_token = 5", "unknown key max_token. The keys are: title, models"),
        ("max_tokens = '5'", "max_tokens .* must be a whole number"),
        ("max_tokens = true", "max_tokens .* must be a whole number"),
        ("downloads = 1", "downloads .* must be true or false"),
        ("title = 3", "title .* must be text in quotes"),
        ("models = 'attn-only-2l'", "models .* must be a list of names"),
        ("models = [1]", "models .* must be a list of names"),
        (
            'hosts = ["https://a.example"]',
            "hosts .* has 'https://a.example'; write them as headscope",
        ),
        (
            'embed_origins = ["a.example"]',
            "embed_origins .* has 'a.example'; write .* as https://sl",
        ),
        ("max_batch = 65", "max_batch .* is 65; it must be from 10 to 64"),
        ("max_tokens =", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_what_fits(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"HEADSCOPE_CONFIG names .*missing\.toml"):
        read_config(tmp_path / "missing.toml")


def test_only_the_models_of_the_settings_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, 'models = ["gelu-4l"]')
    monkeypatch.setenv("HEADSCOPE_CONFIG", str(file))
    try:
        assert settings.__wrapped__().models == ("gelu-4l",)
        assert [info.name for info in catalog.list_models()] == ["gelu-4l"]
        with pytest.raises(AnalysisError, match="Pick one of: gelu-4l"):
            catalog.find_model("attn-only-2l")
        # What is to come can be offered; what every page opens with has to be here.
        written(tmp_path, 'downloads = true\nmodels = ["gelu-4l", "gpt2"]')
        assert settings.__wrapped__().downloads
        assert [info.available for info in catalog.list_models()] == [True, False]
        for text in ('models = ["gelu-4l", "gpt2"]', 'downloads = true\nmodels = ["gpt2"]'):
            written(tmp_path, text)
            with pytest.raises(ConfigError, match="'gpt2' is not on this machine"):
                settings.__wrapped__()
        written(tmp_path, 'models = ["../secret"]')
        with pytest.raises(ConfigError, match="There is no model '../secret'"):
            settings.__wrapped__()
    finally:
        catalog.offer_everything()


def test_only_who_runs_it_for_himself_may_download_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADSCOPE_CONFIG", raising=False)
    assert settings.__wrapped__().downloads
    monkeypatch.setenv("HEADSCOPE_CONFIG", str(ROOT / "deploy" / "public.toml"))
    try:
        assert not settings.__wrapped__().downloads
        assert not Config().downloads
    finally:
        catalog.offer_everything()


def test_a_server_with_a_wrong_file_says_so_and_ends(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import server"],
        cwd=ROOT,
        env={**os.environ, "HEADSCOPE_CONFIG": str(written(tmp_path, "colour = 1"))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.strip().startswith("Headscope does not start.")
    assert "unknown key colour" in ended.stderr
