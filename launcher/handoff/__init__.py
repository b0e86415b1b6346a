"""The only floor that writes files and starts processes."""
