//! The disk's side of a file: a thread of its own, so that a slow disk stops no stream.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use super::{FileSink, Message, SinkEnd, unfinished_name};
use crate::mp4_file::Mp4File;
use crate::shared::Shared;

/// One write to the disk takes about this much.
const WRITE_BYTES: usize = 256 << 10;

impl FileSink {
    /// Create the unfinished file and start its writer. Fails when the file, finished or not, exists already.
    pub fn open(
        shared: &Arc<Shared>,
        sink_id: &str,
        stream_id: &str,
        path: &Path,
        max_bytes: Option<u64>,
    ) -> io::Result<Arc<FileSink>> {
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let unfinished = unfinished_name(path);
        // Pictures of a public place are nobody else's business on this machine.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let (sink, inbox) = FileSink::without_writer(sink_id, stream_id, path);
        let writer = Writer {
            sink: Arc::clone(&sink),
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            layout: Mp4File::new(),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            unfinished: unfinished.clone(),
            skips_counted: 0,
        };
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name("media-file".to_owned())
            .spawn(move || writer.run(&inbox, &shared));
        if spawned.is_err() {
            let _best_effort = std::fs::remove_file(&unfinished);
        }
        spawned.map(|_detached| sink)
    }
}

struct Writer {
    sink: Arc<FileSink>,
    file: BufWriter<File>,
    layout: Mp4File,
    max_bytes: u64,
    unfinished: PathBuf,
    /// Audio the layout left out that is in the counters already.
    skips_counted: u64,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>, shared: &Shared) {
        let work = || {
            let asked = self.write_until_end(inbox)?;
            self.finish()?;
            Ok(asked)
        };
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let (reason, is_complete) = match outcome {
            Ok(Ok(reason)) => (reason, true),
            Ok(Err(error)) => (SinkEnd::of(&error), false),
            Err(_panic) => {
                shared.counters.count("internal_errors");
                (SinkEnd::InternalError, false)
            }
        };
        let sink = &self.sink;
        sink.has_ended.store(true, Ordering::Relaxed);
        shared.sinks().remove(&sink.sink_id);
        shared.counters.add("sink_drops", sink.stats().drops);
        shared
            .counters
            .add("sink_audio_skipped", sink.stats().audio_skipped);
        shared.events.push(sink.ended_event(reason, is_complete));
    }

    fn write_until_end(&mut self, inbox: &Receiver<Message>) -> io::Result<SinkEnd> {
        while let Ok(message) = inbox.recv() {
            let size = message.size();
            let step = self.take(message);
            self.sink.waiting.fetch_sub(size, Ordering::Relaxed);
            if let Some(end) = step? {
                return Ok(end);
            }
        }
        // The stream and the node are gone without a word; what came is kept.
        Ok(SinkEnd::StreamEnded)
    }

    fn take(&mut self, message: Message) -> io::Result<Option<SinkEnd>> {
        match message {
            Message::Picture(unit, parameters) => {
                if self.layout.picture(unit, &parameters).is_err() {
                    return Ok(Some(SinkEnd::CodecChanged));
                }
            }
            Message::Audio(frame) => self.layout.audio(frame),
            Message::End(reason) => return Ok(Some(reason)),
        }
        self.write_pieces()?;
        Ok((self.layout.position() >= self.max_bytes).then_some(SinkEnd::MaxBytes))
    }

    fn write_pieces(&mut self) -> io::Result<()> {
        for piece in self.layout.take() {
            self.file.write_all(&piece)?;
            self.sink
                .bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        let stats = self.layout.stats();
        self.sink
            .duration
            .store(self.layout.duration() as u64, Ordering::Relaxed);
        let skips =
            stats.audio_skipped - std::mem::replace(&mut self.skips_counted, stats.audio_skipped);
        self.sink.audio_skipped.fetch_add(skips, Ordering::Relaxed);
        self.sink
            .format_changes
            .store(stats.format_changes, Ordering::Relaxed);
        Ok(())
    }

    /// Index, duration, to the disk, and only then its name.
    fn finish(&mut self) -> io::Result<()> {
        let Some(ending) = self.layout.finish() else {
            // Not one picture: no file either.
            return std::fs::remove_file(&self.unfinished);
        };
        self.write_pieces()?;
        self.file.write_all(&ending.tail)?;
        self.file.flush()?;
        self.sink
            .bytes
            .fetch_add(ending.tail.len() as u64, Ordering::Relaxed);
        let file = self.file.get_ref();
        if let Some((at, bytes)) = ending.patch {
            file.write_all_at(&bytes, at)?;
        }
        file.sync_all()?;
        // Unlike rename(2) this does not write over a file that has come to be meanwhile.
        std::fs::hard_link(&self.unfinished, &self.sink.path)?;
        std::fs::remove_file(&self.unfinished)?;
        let folder = self
            .sink
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}
