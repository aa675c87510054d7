"""HTTP as providers need it: one streaming POST with a watchdog, retries, limits, and errors in our words."""
