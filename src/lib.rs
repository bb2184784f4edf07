//! Keeps a self-hosted container registry from growing forever.
