"""The program on every node of a job: it meets the other nodes, starts the engine's command, and ends with them."""
