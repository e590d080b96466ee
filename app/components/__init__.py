"""What the browser draws; knows no link and no model."""
