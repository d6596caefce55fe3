//! With a real registry: conditions, idempotency, lists.
