"""Commands as processes: started, listened to, and ended with everything that they started."""
