"""Training the network: the data it learns from, the method, and the proof that it works (paper, section 3)."""
