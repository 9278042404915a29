"""Programs to learn from, and to begin one's own with; each runs as it stands."""
