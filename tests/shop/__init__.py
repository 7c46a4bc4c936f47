"""An app of the tests: models with the shapes the blog lacks."""
