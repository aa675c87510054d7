"""Wire formats: encode messages into a request's body, and decode the response into deltas. No I/O."""
