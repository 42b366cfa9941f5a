"""Systems: compositions of components, each a recipe."""
