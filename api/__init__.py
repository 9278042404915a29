"""What comes in from outside: the client port's dialects, the admin port."""
