"""Two plans, or a lock and a plan: what differs between them."""
