"""What two engines share: the script's command, its environment, DeepSpeed's JSON, native keys, reading back. Pure."""
