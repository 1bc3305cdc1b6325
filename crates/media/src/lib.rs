//! Commonview media core: bytes on the wire become streams, streams become viewers' pictures.
#![deny(unsafe_code)]
