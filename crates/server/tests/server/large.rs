//! More data than a node holds in memory, in appends of all sizes, read back while it is written, afterwards and after a
//! restart: on a file system that takes direct I/O and on one that lives in memory.

use std::path::{Path, PathBuf};

use protocol::ErrorCode;

use crate::common::{Client, Rig, batch};

/// Twice what is held in memory.
const BYTES: usize = 80 << 20;

/// The value at an offset: none is like another, and small ones lie between large ones.
fn value(offset: usize) -> String {
    let size = match offset % 7 {
        0 => 10,
        1 => 4000,
        2 => 65_000,
        3 => 66_000,
        4 => 300_000,
        5 => 900_000,
        _ => 100 + offset,
    };
    let unit = format!("{offset}.");
    unit.repeat(size / unit.len() + 1)
}

fn assert_all(mut client: Client, count: usize) {
    let values = client.values("t", 0);
    assert_eq!(values.len(), count);
    let wrong = values.iter().enumerate().find(|(offset, it)| **it != value(*offset)).map(|(offset, _)| offset);
    assert_eq!(wrong, None);
}

/// Folders on the disk of the target directory, and in memory where the system has such a place.
fn places() -> Vec<PathBuf> {
    let memory = Path::new("/dev/shm");
    let places = [Path::new(env!("CARGO_TARGET_TMPDIR")), memory];
    places.into_iter().filter(|it| it.is_dir()).map(Path::to_owned).collect()
}

#[test]
fn what_was_written_is_read_from_memory_and_from_disk() {
    for place in places() {
        let folder = tempfile::tempdir_in(place).unwrap();
        let rig = Rig::at(folder.path());
        let mut client = rig.client();
        client.create_topic("t", 1);
        let (mut count, mut bytes) = (0, 0);
        while bytes < BYTES {
            let value = value(count);
            bytes += value.len();
            assert_eq!(client.produce("t", 0, batch(&[&value])), (ErrorCode::None, count as i64));
            // What was written last, as a consumer at the end of the log asks for it.
            let (error, end, read) = client.fetch("t", 0, count as i64);
            assert_eq!((error, end), (ErrorCode::None, count as i64 + 1));
            // The value is the last of the batch, but for the number of headers.
            assert!(read[..read.len() - 1].ends_with(value.as_bytes()));
            count += 1;
        }
        // From the beginning, which is in memory no more: several at once, each at its own pace.
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let client = rig.client();
                std::thread::spawn(move || assert_all(client, count))
            })
            .collect();
        readers.into_iter().for_each(|it| it.join().unwrap());
        rig.stop();
        let rig = Rig::at(folder.path());
        assert_all(rig.client(), count);
        rig.stop();
    }
}
