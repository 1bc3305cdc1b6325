//! What a viewer is told beside its pictures: what comes next, and that it is over.

use crate::http;
use crate::parameters::VideoParameters;
use crate::ticket::Protocol;
use crate::websocket::{self, Opcode};

/// The text message before a generation's init segment.
pub fn init_message(parameters: &VideoParameters) -> String {
    let VideoParameters {
        codec,
        codec_string,
        width,
        height,
        generation,
        ..
    } = parameters;
    let name = codec.name();
    // codec_string is made of [A-Za-z0-9.] only, so nothing needs escaping but the quotes of the MIME type.
    format!(
        "{{\"type\":\"init\",\"mime\":\"video/mp4; codecs=\\\"{codec_string}\\\"\",\"codec\":\"{name}\",\
         \"width\":{width},\"height\":{height},\"generation\":{generation}}}"
    )
}

/// What a viewer is told last, or nothing when the framing does not allow a word.
pub fn farewell(protocol: Protocol, reason: &str, has_begun: bool) -> Vec<u8> {
    match protocol {
        Protocol::WebSocket | Protocol::Talk | Protocol::Rtsp => {
            let message = format!("{{\"type\":\"end\",\"reason\":\"{reason}\"}}");
            let mut bytes = websocket::frame(Opcode::Text, message.as_bytes());
            bytes.extend(websocket::close_frame(1000));
            bytes
        }
        // What stands in between are pieces of a file: there is no word to say.
        Protocol::WsFlv => websocket::close_frame(1000),
        Protocol::Http | Protocol::HttpFlv if has_begun => http::LAST_CHUNK.to_vec(),
        Protocol::Http | Protocol::HttpFlv | Protocol::Hls => {
            http::error_response(504, "Gateway Timeout", reason)
        }
    }
}
