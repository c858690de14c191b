"""Steps of training: dense without autograd where the net allows it, or on kept weights only."""
