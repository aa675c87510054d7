"""Wire formats: messages to a request's body, and what the server sends to deltas. No I/O."""
