"""Training on the published data format, at any size, as the published model was trained."""
