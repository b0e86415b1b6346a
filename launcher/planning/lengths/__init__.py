"""What a file of sequence lengths comes to: truncation, padding and packing, counted exactly on a histogram."""
