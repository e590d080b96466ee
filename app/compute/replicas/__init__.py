"""What several processes of one server share over Redis; without the setting nothing of it runs."""
