"""Where answers come from: one contract (`base`), and the providers that fulfil it."""
