//! The thread that writes the segments of a disk.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::{WallClock, civil};
use super::disk::ToSyncer;
use super::recorder::{Message, Recorder, Work};
use super::segment::{Before, Segment};
use super::syncer::{Finish, SegmentFile, report_failure};
use super::{GapReason, RecorderEnd, UNFINISHED};
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::{Value, text};
use crate::mp4_file::AudioTrack;
use crate::parameters::VideoParameters;
use crate::shared::Shared;

/// A disk that refused is tried again after this, and after twice as long each time it refuses again.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(8);

/// Until the last recorder of the disk is gone.
pub fn run(inbox: &Receiver<Message>, syncer: &ToSyncer, shared: &Shared) {
    let mut tracks: HashMap<u64, Track> = HashMap::new();
    while let Ok(message) = inbox.recv() {
        let size = message.size();
        let Message { recorder, work } = message;
        if recorder.is_done() {
            recorder.taken(size);
            continue;
        }
        let disk = Arc::clone(&recorder.disk);
        let track = tracks.entry(recorder.number).or_default();
        let mut desk = Desk {
            recorder: &recorder,
            syncer,
            shared,
        };
        let end = match &work {
            Work::End(reason) => Some(*reason),
            _ => None,
        };
        let step = AssertUnwindSafe(|| disk.write(|| track.take(work, &mut desk)));
        let has_panicked = catch_unwind(step).is_err();
        if has_panicked {
            shared.counters.count("internal_errors");
            desk.tell(Finish::Ended(
                Arc::clone(&recorder),
                RecorderEnd::InternalError,
            ));
        }
        if has_panicked || end.is_some() {
            recorder.set_done();
            tracks.remove(&recorder.number);
        }
        recorder.taken(size);
    }
}

/// What a track needs besides itself.
struct Desk<'a> {
    recorder: &'a Arc<Recorder>,
    syncer: &'a ToSyncer,
    shared: &'a Shared,
}

impl Desk<'_> {
    fn tell(&mut self, work: Finish) {
        // The syncer lives as long as this sender.
        let _always_there = self.syncer.send(work);
    }
}

/// A disk that does not take anything.
#[derive(Debug)]
struct Failing {
    reason: GapReason,
    retry_at: Instant,
    pause: Duration,
}

/// One recorder's side of the writer.
#[derive(Debug, Default)]
struct Track {
    open: Option<(Segment, Arc<SegmentFile>)>,
    clock: Option<WallClock>,
    audio: Option<AudioTrack>,
    last_end_us: Option<i64>,
    failing: Option<Failing>,
    drops_told: u64,
}

impl Track {
    fn take(&mut self, work: Work, desk: &mut Desk<'_>) {
        match work {
            Work::Picture(unit, parameters, offset_us, gap) => {
                self.picture(unit, &parameters, offset_us, gap, desk);
            }
            Work::Audio(frame) => self.audio(frame, desk),
            Work::End(reason) => {
                self.close(desk);
                desk.tell(Finish::Ended(Arc::clone(desk.recorder), reason));
            }
        }
    }

    fn picture(
        &mut self,
        unit: AccessUnit,
        parameters: &Arc<VideoParameters>,
        offset_us: i64,
        gap: Option<GapReason>,
        desk: &mut Desk<'_>,
    ) {
        if unit.is_key_frame {
            let begun = self.turn(&unit, parameters, offset_us, gap, desk);
            if let Err(error) = begun {
                self.fail(&error, desk);
            }
        } else if let (Some(gap), Some(clock)) = (gap, &self.clock)
            && let Some((segment, _)) = &self.open
        {
            let fields = vec![
                ("begin_us", Value::Number(segment.end_us().max(0) as u64)),
                ("end_us", Value::Number(clock.at(unit.dts).max(0) as u64)),
                ("reason", text(gap.word())),
            ];
            desk.shared
                .events
                .push(desk.recorder.event("RecorderGap", fields));
        }
        let Some((segment, file)) = &mut self.open else {
            desk.recorder.dropped(1);
            return;
        };
        if let Some(clock) = &mut self.clock {
            clock.saw(&unit);
        }
        segment.picture(unit);
        if let Err(error) = append(segment, file, desk.recorder) {
            self.fail(&error, desk);
        }
    }

    fn audio(&mut self, frame: AudioFrame, desk: &mut Desk<'_>) {
        self.audio = AudioTrack::of(&frame).or(self.audio);
        let Some((segment, file)) = &mut self.open else {
            return;
        };
        segment.audio(frame);
        if let Err(error) = append(segment, file, desk.recorder) {
            self.fail(&error, desk);
        }
    }

    /// A key frame: begin another segment if it is time for one.
    fn turn(
        &mut self,
        unit: &AccessUnit,
        parameters: &Arc<VideoParameters>,
        offset_us: i64,
        gap: Option<GapReason>,
        desk: &mut Desk<'_>,
    ) -> io::Result<()> {
        let has_stepped = self.clock.is_some_and(|clock| clock.has_stepped(offset_us));
        let reason = match &self.failing {
            Some(failing) if Instant::now() < failing.retry_at => return Ok(()),
            Some(failing) => Some(failing.reason),
            None if has_stepped => Some(GapReason::ClockStep),
            None => gap,
        };
        let request = &desk.recorder.request;
        let is_to_turn = desk.recorder.takes_turn();
        let goes_on = self.open.as_ref().is_some_and(|(segment, file)| {
            reason.is_none()
                && !is_to_turn
                && segment.holds(parameters, self.audio)
                && segment.duration() < request.segment_ticks
                && segment.bytes() < request.max_segment_bytes
                && !file.has_failed()
        });
        if goes_on {
            return Ok(());
        }
        self.close(desk);
        let clock = match &mut self.clock {
            Some(clock) if !has_stepped => clock,
            clock => clock.insert(WallClock::begin(unit, offset_us)),
        };
        clock.settle();
        let clock = *clock;
        let before = self.before(clock.at(unit.dts), reason, desk.recorder);
        let segment = Segment::begin(unit, parameters, self.audio, clock, before);
        let file = create(desk.recorder, segment.begin_us())?;
        self.drops_told += before.drops;
        if self.failing.take().is_some() {
            desk.recorder.set_failing(None);
        }
        let fields = vec![
            ("path", text(file.path.to_string_lossy())),
            ("begin_us", Value::Number(segment.begin_us().max(0) as u64)),
        ];
        desk.shared
            .events
            .push(desk.recorder.event("RecorderBegan", fields));
        desk.recorder.opened(&file);
        desk.tell(Finish::Opened(Arc::clone(&file)));
        self.open = Some((segment, file));
        Ok(())
    }

    fn before(&self, begin_us: i64, reason: Option<GapReason>, recorder: &Recorder) -> Before {
        let missing = self.last_end_us.map_or(0, |end| (begin_us - end).max(0));
        Before {
            is_first: self.last_end_us.is_none(),
            gap_us: if reason.is_some() { missing as u64 } else { 0 },
            reason,
            drops: recorder.drops() - self.drops_told,
        }
    }

    /// Finish the open segment.
    fn close(&mut self, desk: &mut Desk<'_>) {
        let Some((mut segment, file)) = self.open.take() else {
            return;
        };
        let pieces = segment.finish();
        if let Err(error) = write(&mut segment, &file, &pieces, desk.recorder) {
            // What is in the file is whole; it lacks its index, which nobody needs for playing.
            self.refused(GapReason::of(&error), &file.path, desk);
        }
        self.hand_over(segment, file, desk);
    }

    fn hand_over(&mut self, segment: Segment, file: Arc<SegmentFile>, desk: &mut Desk<'_>) {
        file.close();
        self.last_end_us = Some(segment.end_us());
        desk.tell(if segment.bytes() == 0 {
            Finish::Empty(Arc::clone(desk.recorder), file)
        } else {
            Finish::Segment(Arc::clone(desk.recorder), file, segment.facts())
        });
    }

    /// The disk refused: keep what is whole, and try again later.
    fn fail(&mut self, error: &io::Error, desk: &mut Desk<'_>) {
        let path = match self.open.take() {
            Some((segment, file)) => {
                let path = file.path.clone();
                self.hand_over(segment, file, desk);
                path
            }
            None => desk.recorder.request.directory.clone(),
        };
        self.refused(GapReason::of(error), &path, desk);
    }

    fn refused(&mut self, reason: GapReason, path: &Path, desk: &mut Desk<'_>) {
        let former = self.failing.take();
        let pause = former
            .as_ref()
            .map_or(RETRY, |failing| (failing.pause * 2).min(RETRY_MAX));
        if former.is_none_or(|former| former.reason != reason) {
            report_failure(desk.shared, desk.recorder, reason, path);
        }
        self.failing = Some(Failing {
            reason,
            retry_at: Instant::now() + pause,
            pause,
        });
    }
}

/// Write what the segment has ready.
fn append(segment: &mut Segment, file: &SegmentFile, recorder: &Recorder) -> io::Result<()> {
    let pieces = segment.take();
    if pieces.is_empty() {
        return Ok(());
    }
    write(segment, file, &pieces, recorder)
}

/// All of it, or none of it.
fn write(
    segment: &mut Segment,
    file: &SegmentFile,
    pieces: &[Bytes],
    recorder: &Recorder,
) -> io::Result<()> {
    let written = recorder.disk.check().and_then(|()| {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        write_all(&file.file, &mut slices)
    });
    if let Err(error) = written {
        // Half a fragment is none. Cutting a file off needs no room.
        let _mended_by_the_doctor_else = file.file.set_len(segment.bytes());
        file.touch();
        return Err(error);
    }
    let before = segment.bytes();
    segment.written(pieces);
    file.ledger.wrote(pieces);
    recorder.wrote(segment.bytes() - before);
    file.touch();
    Ok(())
}

fn write_all(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A new file for a segment that begins at this moment.
fn create(recorder: &Recorder, begin_us: i64) -> io::Result<Arc<SegmentFile>> {
    recorder.disk.check()?;
    let (day, time) = civil(begin_us);
    let folder = recorder.request.directory.join(day);
    make_folder(&folder, &recorder.request.root)?;
    let random = RandomState::new().hash_one(recorder.number) as u32;
    let path = folder.join(format!("{time}Z-{random:08x}{UNFINISHED}"));
    // Pictures of a public place are nobody else's business on this machine.
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    // After a power cut the name must be there as well.
    File::open(&folder)?.sync_all()?;
    Ok(SegmentFile::new(file, path, begin_us))
}

/// The folder and what is missing of the way to it, down from the root of the disk, which must be there.
fn make_folder(folder: &Path, root: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|one| *one != root && !one.is_dir())
        .map(Path::to_owned)
        .collect();
    for one in missing.iter().rev() {
        match DirBuilder::new().mode(0o700).create(one) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(parent) = one.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}
