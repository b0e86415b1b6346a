"""Recipe text to Recipe: strict YAML, every problem at once, each with its place."""
