//! Ways out for other people's players, each from the fragments that everybody gets and none of them before somebody asks.

pub mod hls;
