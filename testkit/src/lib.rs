//! What the janitor's tests and benches stand on.
