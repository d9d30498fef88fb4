//! Drives an engine that speaks the Docker API over a local socket.
