"""Tables -> figures, claims, costs, reports; the registry of experiments. Imports no PyTorch."""
