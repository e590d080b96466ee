"""How the bundled models are made: ``python -m training <config.toml> --corpus <text file>``."""
