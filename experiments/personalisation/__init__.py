"""Models of everybody, of one person, and of everybody moved towards one person."""
