"""Small Streamlit scripts that the browser tests serve."""
