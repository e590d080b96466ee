"""What pages share: selection and links, models and locks, figures, embedding, escaping."""
