//! Ways out of a stream for other programs' players, each with a door, a queue and the tickets of the house.

pub mod rtsp;
