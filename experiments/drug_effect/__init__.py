"""Drug-like changes in real beats, and what detects them."""
