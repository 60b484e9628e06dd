//! What the tests share: whole deployments on this machine.
