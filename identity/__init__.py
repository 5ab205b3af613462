"""A person in SDXL's models and prompts: PhotoMaker and InstantID."""
