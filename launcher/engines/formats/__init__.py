"""What two engines share."""
