"""From a trained model to dependency-free C for a wearable, with its proof."""

__all__: list[str] = []
