"""HTTP for providers: a streaming POST with a watchdog, retries, limits, and our own errors."""
