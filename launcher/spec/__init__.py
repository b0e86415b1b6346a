"""Types of what is asked (recipe) and of what was decided (plan, bundle). They touch nothing."""
