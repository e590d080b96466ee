"""Headscope as a package; by itself it imports neither torch nor Streamlit."""

__version__ = "0.1.0"
