//! Commonview media core: bytes on the wire become streams, streams become viewers' pictures.
//!
//! Everything named here is sans-I/O: bytes and a time go in, values come out. Sockets, threads
//! and clocks live in the reactor.
#![deny(unsafe_code)]

pub mod access_unit;
pub mod assembler;
pub mod audio;
pub mod audio_track;
pub mod bits;
pub mod cache;
pub mod chunk;
pub mod connection;
pub mod demux;
mod door;
pub mod events;
pub mod feeding;
pub mod file_sink;
pub mod fmp4;
pub mod h264;
pub mod h265;
pub mod http;
pub mod ingest;
pub mod mp4_file;
pub mod nal_payload;
pub mod node;
pub mod outlet;
pub mod outlets;
pub mod pace;
pub mod parameters;
pub mod payload_format;
pub mod ports;
pub mod ps;
pub mod ps_mux;
#[cfg(feature = "python")]
#[allow(unsafe_code)] // what the binding macros expand to
pub mod python;
pub mod random;
pub mod reactor;
pub mod receiver;
pub mod recording;
pub mod relay;
pub mod relaying;
pub mod reorder;
pub mod rfc4571;
pub mod rtp;
pub mod rtsp;
pub mod sender;
pub mod sender_queue;
pub mod sender_task;
pub mod settings;
pub mod shared;
pub mod sound;
pub mod ssrc;
pub mod stats;
pub mod stream;
pub mod talk;
pub mod talk_room;
pub mod ticket;
pub mod timeline;
pub mod ts;
pub mod video_track;
pub mod viewer;
pub mod viewer_task;
pub mod websocket;
pub mod wire;
