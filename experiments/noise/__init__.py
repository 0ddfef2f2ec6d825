"""What noise, dropouts and clipped leads cost, and what the label `unusable` prevents of it."""
