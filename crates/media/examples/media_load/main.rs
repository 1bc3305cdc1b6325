//! Load for the media benchmarks: cameras, viewers, and the floors they are compared with.
//!
//! ```text
//! media_load cameras CLIP tcp|tcp-whole|udp SECONDS PORT...   send the clip to each port, paced at 25 pictures a second;
//!                                                      tcp-whole hands each picture to the kernel in one write
//! media_load discard tcp|udp SECONDS COUNT             floor: receive on COUNT ports, throw away
//! media_load viewers ws|http SECONDS HOST:PORT PATH... watch each path, throw away
//! media_load fan-out CLIP SECONDS COUNT                floor: write the clip's pictures to COUNT connections
//! media_load scatter CLIP SECONDS PORT...              floor: send the clip's pictures to each port in datagrams
//! media_load through tcp|udp SECONDS COUNT             floor: read COUNT cameras, write each one's pictures to a viewer
//! media_load first ws|http HOST:PORT PATH...           one after another: microseconds from connect to first key frame
//! ```
//!
//! CLIP is a file of pictures: each a big-endian u32 length and that many bytes of program stream. Lines on standard
//! output are JSON. Commands that listen print their ports first; `fan-out` begins when a line comes on standard input.

mod cameras;
mod floors;
mod sources;
mod viewers;

use std::error::Error;
use std::io::{self, BufRead, Write};

type Outcome = Result<(), Box<dyn Error>>;

const PICTURES_PER_SECOND: u32 = 25;
const PAYLOAD: usize = 1400;
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["cameras", clip, transport, seconds, ref ports @ ..] => {
            cameras::cameras(&read_clip(clip)?, transport, seconds.parse()?, ports)
        }
        ["discard", transport, seconds, count] => {
            floors::discard(transport == "tcp", seconds.parse()?, count.parse()?)
        }
        ["viewers", protocol, seconds, host, ref paths @ ..] => {
            viewers::viewers(protocol == "ws", seconds.parse()?, host.parse()?, paths)
        }
        ["fan-out", clip, seconds, count] => {
            floors::fan_out(&read_clip(clip)?, seconds.parse()?, count.parse()?)
        }
        ["scatter", clip, seconds, ref ports @ ..] => {
            floors::scatter(&read_clip(clip)?, seconds.parse()?, ports)
        }
        ["through", transport, seconds, count] => {
            floors::through(transport == "tcp", seconds.parse()?, count.parse()?)
        }
        ["first", protocol, host, ref paths @ ..] => {
            viewers::first(protocol == "ws", host.parse()?, paths)
        }
        _ => Err("see the head of media_load/main.rs for the commands".into()),
    }
}

fn read_clip(path: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut rest = &bytes[..];
    let mut pictures = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len))?;
        pictures.push(tail.get(..len).ok_or("the clip is cut short")?.to_vec());
        rest = &tail[len..];
    }
    Ok(pictures)
}

fn say(line: &str) -> Outcome {
    println!("{line}");
    io::stdout().flush()?;
    Ok(())
}

fn await_line() -> Outcome {
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
