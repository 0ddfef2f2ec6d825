"""Every number of the default model moved around its default, and optimisers beside the optimum."""
