"""The audit log: what is hashed, chained and proved."""
