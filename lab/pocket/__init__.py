"""The pocket world: drawn people in drawn scenes with known truth, and the training of small models on them."""
