"""Other tools' files in the words of a recipe. Pure: parsed values in, readings out."""
