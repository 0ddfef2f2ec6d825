"""Networks that label a lead: a U-Net and a causal TCN."""
