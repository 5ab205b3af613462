"""Who is in a picture, and how to put that person into another: face analysis, face swap, PhotoMaker, InstantID."""
