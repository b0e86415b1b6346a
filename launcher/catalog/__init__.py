"""Facts about devices and models, each row with its source."""
