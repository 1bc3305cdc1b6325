//! Ways out for other people's players, none of them at work before somebody asks.

pub mod flv;
pub mod hls;
pub mod rtsp;
