"""The renderer: a picture with its caption, key points and masks from a scene, a pose and an identity."""
