//! Which file system a folder lies on: a seam, so that tests can say NFS.

use std::io;
use std::path::Path;

use crate::store::{Error, ErrorCode};

/// Answers the file system's magic number (`statfs`'s `f_type`) of a path.
pub type FsProbe = fn(&Path) -> io::Result<u64>;

/// Asks the kernel.
///
/// # Errors
/// What `statfs` says.
pub fn kernel(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statfs(path)?;
    // The field's type differs by platform; the magic numbers are unsigned 32-bit words.
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "the magic numbers are unsigned 32-bit words in a field whose type differs by platform"
    )]
    Ok(u64::from(found.f_type as u32))
}

/// File systems whose locks or shared mappings do not hold between machines.
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x564C, "NCP"),
    (0x7375_7245, "Coda"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x1980_0202, "BeeGFS"),
];

/// FUSE: may be local, may be a network in disguise.
const FUSE: u64 = 0x6573_5546;

/// Refuses network file systems; answers a note for what it cannot judge.
pub(super) fn check(probe: FsProbe, folder: &Path) -> Result<Option<String>, Error> {
    let magic = probe(folder).map_err(|error| {
        Error::new(
            ErrorCode::Io,
            format!(
                "the file system of {} does not answer: {error}",
                folder.display()
            ),
        )
    })?;
    if let Some((_, name)) = NETWORK.iter().find(|(network, _)| *network == magic) {
        return Err(Error::new(
            ErrorCode::NetworkFs,
            format!(
                "{} lies on {name}: SQLite's locks and shared memory do not hold on network file systems",
                folder.display()
            ),
        )
        .with_next("ringrift init --home DIR"));
    }
    Ok((magic == FUSE).then(|| {
        format!(
            "{} lies on a FUSE file system: its locks may not hold between machines",
            folder.display()
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_refused_and_fuse_is_noted() {
        let here = Path::new("/");
        assert_eq!(
            check(|_| Ok(0x6969), here).unwrap_err().code,
            ErrorCode::NetworkFs
        );
        assert!(check(|_| Ok(FUSE), here).unwrap().is_some());
        assert_eq!(check(|_| Ok(0xEF53), here).unwrap(), None);
        assert!(kernel(here).unwrap() > 0);
    }
}
