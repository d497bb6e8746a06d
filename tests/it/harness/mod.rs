//! What the tests stand on.

pub(crate) mod board;
pub(crate) mod described;
#[allow(dead_code, reason = "the tests use it, the soak program does not")]
pub(crate) mod everruns;
pub(crate) mod model_server;
#[allow(dead_code, reason = "the tests use it, the soak program does not")]
pub(crate) mod norm;
pub(crate) mod server;
pub(crate) mod steady;
