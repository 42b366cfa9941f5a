"""What lies on disk: atomic files, JSON documents, weights, and the table of pretrained models."""
