"""What `batchwright explain` knows: error codes, keys of a recipe, numbers of a plan, placeholders."""
