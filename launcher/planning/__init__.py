"""Numbers decided from a recipe: no clock, no files, no randomness, no torch. Import the module you need."""
