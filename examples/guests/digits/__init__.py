"""A small neural network for handwritten digits: its training, its weights, and the guest that runs it."""
